-- record_action
-- Who did what to a run or to a tenant, and why: nobody can take it back.
INSERT INTO operator_actions (tenant_id, run_id, action, by_whom, reason, detail)
VALUES ($1, $2, $3, $4, $5, $6::json);

-- actions_of_run
-- What operators did with a run, in order.
SELECT action_id, at, action, by_whom, reason, detail FROM operator_actions
WHERE tenant_id = $1 AND run_id = $2 ORDER BY action_id;

-- dead_letters
-- Runs that AOS gave up and nobody has dealt with yet, newest first.
SELECT r.*, a.name AS agent_name FROM runs r JOIN agents a USING (agent_id)
WHERE r.tenant_id = $1 AND r.status = 'quarantined' AND ($2::uuid IS NULL OR r.run_id < $2)
  AND NOT EXISTS (SELECT 1 FROM operator_actions o
                  WHERE o.run_id = r.run_id AND o.action IN ('requeue', 'discard'))
ORDER BY r.run_id DESC LIMIT $3;

-- lock_run
-- Two operators who deal with one run go one after the other.
SELECT status, finished_at FROM runs WHERE tenant_id = $1 AND run_id = $2 FOR UPDATE;

-- dealt_with
-- What was done with a dead letter, if anything was.
SELECT action, by_whom FROM operator_actions
WHERE run_id = $1 AND action IN ('requeue', 'discard') LIMIT 1;

-- set_priority
-- An unfinished run's place in its agent's queue.
UPDATE runs SET priority = $3
WHERE tenant_id = $1 AND run_id = $2 AND finished_at IS NULL RETURNING agent_id;

-- children
-- The runs that a run has made, in that order.
SELECT r.*, a.name AS agent_name FROM runs r JOIN agents a USING (agent_id)
WHERE r.tenant_id = $1 AND r.parent_run_id = $2 AND ($3::uuid IS NULL OR r.run_id > $3)
ORDER BY r.run_id LIMIT $4;

-- stop
-- One stop at a time for a tenant, and one for everybody (null). No row: there is one.
INSERT INTO stops (tenant_id, reason, stopped_by) VALUES ($1, $2, $3)
ON CONFLICT (coalesce(tenant_id, '')) WHERE lifted_at IS NULL DO NOTHING
RETURNING stop_id;

-- call_active_agents
-- Have those look who are active now: whoever becomes active later looks by itself.
SELECT count(pg_notify('aos_wake', agent_id::text)) FROM activations
WHERE state = 'active' AND ($1::text IS NULL OR tenant_id = $1);

-- lift
-- A stop is over. Rows are lifted, never removed.
UPDATE stops SET lifted_by = $2, lifted_at = clock_timestamp()
WHERE tenant_id IS NOT DISTINCT FROM $1 AND lifted_at IS NULL RETURNING stop_id;

-- wake_stopped
-- What parked because of a stop goes on at once, without waiting for its next look.
WITH woken AS (
    UPDATE runs SET wake_at = '-infinity'
    WHERE ($1::text IS NULL OR tenant_id = $1) AND finished_at IS NULL AND wake_at > now()
      AND waits_for LIKE 'emergency stop%'
    RETURNING agent_id
), called AS (
    SELECT count(pg_notify('aos_wake', agent_id::text)) FROM (SELECT DISTINCT agent_id FROM woken) a
)
SELECT (SELECT count(*) FROM woken) AS runs, count FROM called;

-- stops_in_force
-- What holds a tenant's effects up now: its own stop, and everybody's.
SELECT stop_id, tenant_id, reason, stopped_by, stopped_at FROM stops
WHERE lifted_at IS NULL AND (tenant_id IS NULL OR tenant_id = $1) ORDER BY stop_id;
