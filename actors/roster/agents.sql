-- register_agent
-- The unique name decides between two requests that register it at once.
INSERT INTO agents (agent_id, tenant_id, name, profile) VALUES ($1, $2, $3, $4::json)
ON CONFLICT ON CONSTRAINT agent_name_once DO NOTHING RETURNING created_at;

-- read_agent
-- By id or by name, with its activation if it ever had one.
SELECT a.agent_id, a.tenant_id, a.name, a.profile, a.created_at,
       coalesce(v.epoch, 0) AS epoch, coalesce(v.state, 'passive') AS state,
       v.host, v.pid, v.activated_at, v.quarantined_until
FROM agents a LEFT JOIN activations v USING (agent_id)
WHERE a.tenant_id = $1 AND (a.agent_id = $2::uuid OR a.name = $3::text);

-- list_agents
-- A page of a tenant's agents, oldest first; the cursor is the last id of the page before.
SELECT a.agent_id, a.tenant_id, a.name, a.profile, a.created_at,
       coalesce(v.epoch, 0) AS epoch, coalesce(v.state, 'passive') AS state,
       v.host, v.pid, v.activated_at, v.quarantined_until
FROM agents a LEFT JOIN activations v USING (agent_id)
WHERE a.tenant_id = $1 AND ($2::uuid IS NULL OR a.agent_id > $2)
ORDER BY a.agent_id LIMIT $3;
