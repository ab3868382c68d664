-- claim_supervisor
-- A new supervisor process deposes the one before: whatever that still decides has no effect.
INSERT INTO supervisors (supervisor, epoch, pid) VALUES ($1, 1, $2)
ON CONFLICT (supervisor) DO UPDATE
SET epoch = supervisors.epoch + 1, pid = $2, claimed_at = now() RETURNING epoch;

-- activate
-- Compare-and-set on the epoch that was seen, under a supervisor that is not deposed. Raising the
-- epoch is what fences every earlier activation; no row means somebody else was first.
WITH supervisor AS (
    SELECT 1 FROM supervisors WHERE supervisor = $1 AND epoch = $2 FOR SHARE
)
INSERT INTO activations (agent_id, tenant_id, epoch, state, host, pid, node_id, activated_at)
SELECT a.agent_id, a.tenant_id, 1, 'active', $5, $6, $7, now()
FROM supervisor, agents a WHERE a.agent_id = $3
ON CONFLICT (agent_id) DO UPDATE
SET epoch = activations.epoch + 1, state = 'active', host = $5, pid = $6, node_id = $7,
    activated_at = now(), quarantined_until = NULL
WHERE activations.epoch = $4
RETURNING tenant_id, epoch, activated_at;

-- agent_facts
-- What an activation needs to know; the epoch is what it must be compared with.
SELECT a.tenant_id, a.name, nullif((a.profile -> 'dedicated')::text, 'null') AS dedicated, coalesce(v.epoch, 0) AS epoch
FROM agents a LEFT JOIN activations v USING (agent_id) WHERE a.agent_id = $1;

-- supervisor_epoch
-- Whether a supervisor process has been deposed.
SELECT epoch FROM supervisors WHERE supervisor = $1;

-- active_agents
-- What a new supervisor process may find alive.
SELECT agent_id, tenant_id, epoch, host, activated_at FROM activations WHERE state = 'active';

-- passivate
-- Only while nothing is left to do: a run that slipped in keeps the agent active.
UPDATE activations SET epoch = epoch + 1, state = 'passive', host = NULL, pid = NULL
WHERE agent_id = $1 AND epoch = $2 AND state = 'active'
  AND NOT EXISTS (SELECT 1 FROM runs WHERE agent_id = $1 AND finished_at IS NULL)
RETURNING epoch;

-- quarantine
-- The circuit is open: nobody activates this agent before the given instant.
-- Also for an agent that has never been active.
INSERT INTO activations (agent_id, tenant_id, epoch, state, quarantined_until, failures)
SELECT agent_id, tenant_id, 0, 'quarantined', $2, $3 FROM agents WHERE agent_id = $1
ON CONFLICT (agent_id) DO UPDATE
SET state = 'quarantined', host = NULL, pid = NULL, quarantined_until = $2, failures = $3;

-- quarantined_agents
-- What a new supervisor process must hold to.
SELECT agent_id, quarantined_until, failures FROM activations
WHERE state = 'quarantined' AND quarantined_until > now();

-- progressed
-- Whether an activation committed an outcome: then its end is not one more failure in a row.
SELECT EXISTS (
    SELECT 1 FROM runs WHERE agent_id = $1 AND progress_epoch = $2
    ORDER BY run_id DESC LIMIT 1000
);

-- needy_agents
-- Every agent with unfinished runs, and whether one of them waits without having been taken up.
SELECT r.agent_id, bool_or(r.epoch = 0 AND r.created_at < now() - $1::interval) AS overdue
FROM runs r LEFT JOIN activations v USING (agent_id)
WHERE r.finished_at IS NULL AND (v.quarantined_until IS NULL OR v.quarantined_until < now())
GROUP BY r.agent_id;

-- record_events
-- What supervisors did and why, in one statement for all that has gathered.
INSERT INTO supervision_events (tenant_id, supervisor, child, epoch, kind, reason, detail, delay_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                     $7::text[], $8::int[]);

-- recent_events
-- The newest first: why something was restarted, or is not.
SELECT * FROM supervision_events
WHERE ($1::text IS NULL OR child = $1) ORDER BY event_id DESC LIMIT $2;

-- trim_events
-- What happened long ago.
DELETE FROM supervision_events WHERE at < now() - $1::interval;

-- make_partitions
-- The current week and the next four: the default partitions stay empty.
SELECT ensure_partitions(5);
