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
-- Only while nothing needs its process: a run that slipped in, or was told something, keeps the agent
-- active, and so does one that is about to need it; runs that wait for later do not.
UPDATE activations SET epoch = epoch + 1, state = 'passive', host = NULL, pid = NULL
WHERE agent_id = $1 AND epoch = $2 AND state = 'active'
  AND NOT EXISTS (SELECT 1 FROM runs
                  WHERE agent_id = $1 AND finished_at IS NULL AND wake_at <= now() + $3::interval)
RETURNING epoch;

-- quarantine
-- The circuit is open: nobody activates this agent before the given instant.
-- Also for an agent that has never been active; not by a supervisor that has been deposed.
WITH supervisor AS (
    SELECT 1 FROM supervisors WHERE supervisor = $1 AND epoch = $2 FOR SHARE
)
INSERT INTO activations (agent_id, tenant_id, epoch, state, quarantined_until, failures)
SELECT a.agent_id, a.tenant_id, 0, 'quarantined', $4, $5
FROM supervisor, agents a WHERE a.agent_id = $3
ON CONFLICT (agent_id) DO UPDATE
SET state = 'quarantined', host = NULL, pid = NULL, quarantined_until = $4, failures = $5;

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
-- Every agent with runs that need its process now or within $2, and whether one of them needs it now
-- and has not been taken up, or has not heard what was said to it. In the row without an agent: in how
-- many seconds the next run that waits comes so near, by the clock that timers go by.
SELECT r.agent_id,
       bool_or(r.wake_at <= now()
               AND (r.epoch = 0 AND r.created_at < now() - $1::interval
                    OR r.messages > r.heard OR r.status IN ('waiting', 'paused'))) AS overdue,
       NULL::float8 AS next_in
FROM runs r LEFT JOIN activations v USING (agent_id)
WHERE r.finished_at IS NULL AND r.wake_at <= now() + $2::interval
  AND (v.quarantined_until IS NULL OR v.quarantined_until < now())
GROUP BY r.agent_id
UNION ALL
SELECT NULL, false, extract(epoch FROM min(wake_at) - $2::interval - clock_timestamp())::float8
FROM runs WHERE finished_at IS NULL AND wake_at > now() + $2::interval AND wake_at < 'infinity';

-- record_events
-- What supervisors did and why, in one statement for all that has gathered, in its order. Whose
-- agent it was about is looked up here; its epoch too, unless the supervisor knew it. Ages are
-- seconds since it happened, so that the only clock is Postgres's.
INSERT INTO supervision_events
    (at, tenant_id, supervisor, child, epoch, kind, reason, detail, delay_ms)
SELECT clock_timestamp() - make_interval(secs => e.age), coalesce(e.tenant_id, a.tenant_id),
       e.supervisor, e.child, coalesce(e.epoch, v.epoch), e.kind, e.reason, e.detail, e.delay_ms
FROM unnest($1::float8[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
            $8::text[], $9::int[])
     WITH ORDINALITY
     AS e (age, tenant_id, supervisor, child, epoch, kind, reason, detail, delay_ms, place)
LEFT JOIN agents a ON a.agent_id = agent_id_of(e.child)
LEFT JOIN activations v ON v.agent_id = a.agent_id
ORDER BY e.place;

-- events_page
-- The newest first: why something was restarted, or is not. A tenant of null sees everybody's.
SELECT e.event_id, e.at, e.tenant_id, e.supervisor, e.child, coalesce(a.name, t.name) AS name,
       e.epoch, e.kind, e.reason, e.detail, e.delay_ms
FROM supervision_events e
LEFT JOIN agents a ON a.agent_id = agent_id_of(e.child)
LEFT JOIN teams t ON e.child LIKE 'team:%' AND t.team_id = agent_id_of(substr(e.child, 6))
WHERE ($1::text IS NULL OR e.tenant_id = $1) AND ($2::text IS NULL OR e.child = $2)
  AND ($3::text IS NULL OR e.kind = $3) AND ($4::timestamptz IS NULL OR e.at >= $4)
  AND ($5::bigint IS NULL OR e.event_id < $5)
ORDER BY e.event_id DESC LIMIT $6;

-- trim_events
-- The oldest rows up to the first that is young enough: found by the primary key, whatever the size
-- of the table. The trigger refuses whoever reaches for the last day.
WITH old AS (
    SELECT event_id FROM supervision_events
    WHERE event_id < coalesce(
        (SELECT event_id FROM supervision_events WHERE recorded_at >= now() - $1::interval
         ORDER BY event_id LIMIT 1),
        9223372036854775807)
    ORDER BY event_id LIMIT $2
), trimmed AS (
    DELETE FROM supervision_events USING old WHERE supervision_events.event_id = old.event_id
    RETURNING 1
)
SELECT count(*) FROM trimmed;

-- make_partitions
-- The current week and the next four: the default partitions stay empty.
SELECT ensure_partitions(5);
