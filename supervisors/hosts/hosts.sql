-- renew_leases
-- All hosts of a machine in one statement: those that show signs of life have their lease renewed,
-- those that ended are written off. Leases are judged by this server's clock alone.
WITH ended AS (
    UPDATE hosts SET state = 'dead', ended_at = now() WHERE host = ANY ($6::text[]) AND state <> 'dead'
)
INSERT INTO hosts (host, node_id, pid, state, tenant_id, served, lease_until)
SELECT h.host, $1, h.pid, h.state, h.tenant_id, h.served, now() + $7::interval
FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $8::int[])
    AS h (host, pid, state, tenant_id, served)
ON CONFLICT (host) DO UPDATE
SET state = excluded.state, tenant_id = excluded.tenant_id, served = excluded.served,
    lease_until = excluded.lease_until
WHERE hosts.state <> 'dead';

-- write_off_node
-- A new manager of a machine: the hosts of the one before ended with it.
UPDATE hosts SET state = 'dead', ended_at = now() WHERE node_id = $1 AND state <> 'dead';

-- lost_agents
-- Agents whose host's lease has run out. Not within a lease of the server's own start: while it was
-- away nobody could renew.
SELECT a.agent_id, a.host FROM activations a JOIN hosts h USING (host)
WHERE a.state = 'active' AND (h.state = 'dead' OR h.lease_until < now())
  AND pg_postmaster_start_time() < now() - $1::interval;

-- expired_hosts
-- Hosts that nobody renews any more, for the janitor.
SELECT host FROM hosts WHERE state <> 'dead' AND lease_until < now() - $1::interval
  AND pg_postmaster_start_time() < now() - $1::interval;

-- write_off
-- What the janitor has seen twice.
UPDATE hosts SET state = 'dead', ended_at = now()
WHERE host = ANY ($1::text[]) AND state <> 'dead' AND lease_until < now();

-- forget_hosts
-- Rows of processes that ended long ago.
DELETE FROM hosts WHERE state = 'dead' AND ended_at < now() - $1::interval;

-- stale_activations
-- Agents that are said to be active in a process that ended, and have nothing to do.
SELECT a.agent_id, a.epoch FROM activations a JOIN hosts h USING (host)
WHERE a.state = 'active' AND h.state = 'dead' AND h.ended_at < now() - $1::interval
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.agent_id = a.agent_id AND r.finished_at IS NULL);

-- make_passive
-- Only if nobody activated them meanwhile.
UPDATE activations a SET epoch = a.epoch + 1, state = 'passive', host = NULL, pid = NULL
FROM unnest($1::uuid[], $2::bigint[]) AS stale (agent_id, epoch)
WHERE a.agent_id = stale.agent_id AND a.epoch = stale.epoch AND a.state = 'active';
