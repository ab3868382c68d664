-- agents_by_state
-- How many of a tenant's agents are active now; those that never were are passive.
SELECT coalesce(v.state, 'passive') AS state, count(*) AS agents
FROM agents a LEFT JOIN activations v USING (agent_id)
WHERE a.tenant_id = $1 GROUP BY 1;

-- postgres_version
-- Which server answers: the cheapest proof that one does.
SELECT current_setting('server_version') AS version;
