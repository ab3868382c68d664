-- append_journal
-- Fence and append in one statement: the lock on the activation's row makes a later activation wait
-- for us, and makes us see its epoch if it was first. No row back means: fenced, nothing written.
-- `halted` tells of an emergency stop. Whoever follows a run hears when it is over. A run that parks while somebody is saying something to it
-- stays awake: the count of messages is compared under the row's lock.
WITH fence AS MATERIALIZED (
    SELECT 1 AS held FROM activations WHERE agent_id = $1 AND epoch = $2 FOR NO KEY UPDATE
), appended AS (
    INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body, chain)
    SELECT e.run_id, e.seq, $3, $2, e.kind, e.version, e.at, e.body::json, e.chain
    FROM fence, unnest($4::uuid[], $5::int[], $6::text[], $7::smallint[], $8::timestamptz[], $9::text[],
                       $10::bytea[])
        AS e (run_id, seq, kind, version, at, body, chain)
), stored AS (
    INSERT INTO blobs (run_id, hash, tenant_id, content)
    SELECT b.run_id, b.hash, $3, b.content
    FROM fence, unnest($11::uuid[], $12::text[], $13::bytea[]) AS b (run_id, hash, content)
    ON CONFLICT DO NOTHING
), projected AS (
    UPDATE runs SET
        status = p.status, last_seq = p.last_seq, epoch = $2, progress_epoch = p.progress_epoch,
        steps = p.steps, attempts = p.attempts, cost_microusd = p.cost,
        input_tokens = p.input_tokens, output_tokens = p.output_tokens,
        code = p.code, message = p.message, started_at = p.started_at, finished_at = p.finished_at,
        heard = p.heard, waits_for = p.waits_for,
        wake_at = CASE WHEN runs.messages > p.heard THEN '-infinity' ELSE p.wake_at END
    FROM fence, unnest($14::uuid[], $15::text[], $16::int[], $17::bigint[], $18::int[], $19::int[],
                       $20::bigint[], $21::bigint[], $22::bigint[], $23::text[], $24::text[],
                       $25::timestamptz[], $26::timestamptz[], $27::int[], $28::text[],
                       $29::timestamptz[])
        AS p (run_id, status, last_seq, progress_epoch, steps, attempts, cost, input_tokens,
              output_tokens, code, message, started_at, finished_at, heard, waits_for, wake_at)
    WHERE runs.run_id = p.run_id AND runs.tenant_id = $3
), heard AS (
    DELETE FROM inbox USING fence
    WHERE inbox.run_id = ANY ($30::uuid[])
), told AS (
    SELECT pg_notify('aos_over', o.run_id::text) FROM fence, unnest($30::uuid[]) AS o (run_id)
)
SELECT held, (SELECT count(*) FROM told) AS over, (SELECT s.reason FROM stops s WHERE s.lifted_at IS NULL
              AND (s.tenant_id IS NULL OR s.tenant_id = $3) LIMIT 1) AS halted
FROM fence;

-- landed_sequences
-- After a commit whose answer was lost: how far our own epoch's rows reach in each run.
SELECT run_id, max(seq) AS seq FROM journal
WHERE run_id = ANY ($1::uuid[]) AND epoch = $2 GROUP BY run_id;

-- submit_run
-- The row that lists and filters, and the journal's first events, which no activation writes because
-- there is none yet: their epoch of 0 says so. What a derived run keeps of its source, it has heard
-- and spent. Whoever keeps the agents is told when this is committed.
WITH run AS (
    INSERT INTO runs (run_id, tenant_id, agent_id, root_run_id, goal, planner, priority, trace_id,
                      code_version, last_seq, parent_run_id, parent_step_id, derived_from,
                      derived_how, program, heard, messages, steps, attempts, cost_microusd,
                      input_tokens, output_tokens)
    VALUES ($1::uuid, $2, $3, coalesce($9::uuid, $1::uuid), $4, $5, $6, $7, $8, $10, $11, $12, $13,
            $14, $15, $16, $16, $17, $18, $19, $20, $21)
    ON CONFLICT DO NOTHING RETURNING *
), begun AS (
    INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body, chain)
    SELECT run.run_id, e.seq, $2, 0, e.kind, e.version, e.at, e.body::json, e.chain
    FROM run, unnest($22::int[], $23::text[], $24::smallint[], $25::timestamptz[], $26::text[],
                     $27::bytea[]) AS e (seq, kind, version, at, body, chain)
), told AS (
    SELECT pg_notify('aos_wake', agent_id::text) FROM run
)
SELECT run.* FROM run, told;

-- keep_blob
-- A large value that an operator gave, before any activation of the run.
INSERT INTO blobs (run_id, hash, tenant_id, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- copy_blobs
-- The large values that a run keeps of the one that it was made from.
INSERT INTO blobs (run_id, hash, tenant_id, content)
SELECT $1, b.hash, b.tenant_id, b.content FROM blobs b
WHERE b.tenant_id = $2 AND b.run_id = $3 AND b.hash = ANY ($4::text[])
ON CONFLICT DO NOTHING;

-- claim_key
-- First writer of a key wins; the loser waits for it and then reads what it decided.
INSERT INTO idempotency_keys (tenant_id, key, request_hash, run_id)
VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING run_id;

-- read_key
-- What an idempotency key stands for.
SELECT request_hash, run_id FROM idempotency_keys WHERE tenant_id = $1 AND key = $2;

-- read_run
-- One run as its projection shows it.
SELECT r.*, a.name AS agent_name FROM runs r JOIN agents a USING (agent_id)
WHERE r.tenant_id = $1 AND r.run_id = $2;

-- list_runs
-- A page of runs, newest first; the cursor is the last id of the page before.
SELECT r.*, a.name AS agent_name FROM runs r JOIN agents a USING (agent_id)
WHERE r.tenant_id = $1
  AND ($2::uuid IS NULL OR r.run_id < $2)
  AND ($3::text IS NULL OR r.status = $3)
  AND ($4::uuid IS NULL OR r.agent_id = $4)
ORDER BY r.run_id DESC LIMIT $5;

-- count_runs
-- How many runs of a tenant stand where.
SELECT status, count(*) AS runs FROM runs WHERE tenant_id = $1 GROUP BY status;

-- read_journal
-- A run's events after a sequence number, in order.
SELECT seq, kind, version, at, epoch, body, chain FROM journal
WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4;

-- read_blob
-- A value that was too large for its event.
SELECT content FROM blobs WHERE tenant_id = $1 AND run_id = $2 AND hash = $3;

-- heads
-- Which of these runs have got further: what followers of live runs ask.
SELECT run_id, last_seq FROM runs WHERE run_id = ANY ($1::uuid[]);

-- take_up
-- What a process asks when it looks for work: the clock that counts, an emergency stop, when the next
-- of the agent's waiting runs needs it, and its next runs that need a process and that this activation
-- has not taken up, in order of priority and age, with how much was said to each.
SELECT clock_timestamp() AS now,
       (SELECT s.reason FROM stops s WHERE s.lifted_at IS NULL
        AND (s.tenant_id IS NULL OR s.tenant_id = $2) LIMIT 1) AS halted,
       (SELECT min(wake_at) FROM runs
        WHERE agent_id = $1 AND tenant_id = $2 AND finished_at IS NULL
          AND wake_at > now() AND wake_at < 'infinity') AS wake_at,
       ready.ids AS ready, ready.messages,
       ARRAY(SELECT DISTINCT i.run_id FROM unnest($5::uuid[], $6::int[]) AS known (run_id, heard)
             JOIN inbox i ON i.run_id = known.run_id AND i.number > known.heard) AS told
FROM (SELECT coalesce(array_agg(n.run_id), '{}') AS ids,
             coalesce(array_agg(n.messages), '{}') AS messages
      FROM (SELECT run_id, messages FROM runs
            WHERE agent_id = $1 AND tenant_id = $2 AND finished_at IS NULL AND wake_at <= now()
              AND NOT (run_id = ANY ($3::uuid[]))
            ORDER BY priority DESC, run_id LIMIT $4) n) ready;

-- halted
-- Why an emergency stop is in force, if one is.
SELECT reason FROM stops WHERE lifted_at IS NULL AND (tenant_id IS NULL OR tenant_id = $1) LIMIT 1;

-- journals_of
-- Whole journals of several runs at once: one round trip for an activation.
SELECT run_id, seq, kind, version, body, chain FROM journal
WHERE tenant_id = $1 AND run_id = ANY ($2::uuid[]) ORDER BY run_id, seq;

-- messages_of
-- What was said to these runs after what each has heard, in order.
SELECT i.run_id, i.number, i.kind, i.said_by, i.body
FROM unnest($2::uuid[], $3::int[]) AS known (run_id, heard)
JOIN inbox i ON i.run_id = known.run_id AND i.number > known.heard
WHERE i.tenant_id = $1 ORDER BY i.run_id, i.number;

-- say
-- Say something to an unfinished run: it needs a process from now on. No row: there is no such run,
-- or it is finished. The number is given out under the lock that finishing and parking take too.
WITH run AS (
    UPDATE runs SET messages = messages + 1, wake_at = '-infinity'
    WHERE tenant_id = $1 AND run_id = $2 AND finished_at IS NULL
    RETURNING agent_id, messages
), said AS (
    INSERT INTO inbox (run_id, number, tenant_id, kind, key, said_by, body)
    SELECT $2, run.messages, $1, $3, $4, $5, $6::json FROM run
), told AS (
    SELECT pg_notify('aos_wake', agent_id::text) FROM run
)
SELECT agent_id, messages AS number FROM run, told;

-- said_before
-- The message that a key stands for.
SELECT i.number, i.kind, i.body, r.agent_id
FROM inbox i JOIN runs r USING (run_id)
WHERE i.tenant_id = $1 AND i.run_id = $2 AND i.key = $3;

-- tell_parent
-- A child run is over: say so to its parent, once, if that still listens. The child's row is locked
-- before the parent's, here as everywhere.
WITH child AS (
    UPDATE runs SET parent_told = true
    WHERE tenant_id = $1 AND run_id = $2 AND finished_at IS NOT NULL AND NOT parent_told
      AND parent_run_id IS NOT NULL
    RETURNING run_id, parent_run_id, parent_step_id, status, code, message
), parent AS (
    UPDATE runs SET messages = messages + 1, wake_at = '-infinity' FROM child
    WHERE runs.run_id = child.parent_run_id AND runs.tenant_id = $1 AND runs.finished_at IS NULL
    RETURNING runs.agent_id, runs.messages
), said AS (
    INSERT INTO inbox (run_id, number, tenant_id, kind, body)
    SELECT child.parent_run_id, parent.messages, $1, 'child',
           json_build_object('step_id', child.parent_step_id, 'child_run_id', child.run_id,
                             'status', child.status, 'code', child.code,
                             'message', coalesce(child.message, ''))
    FROM child, parent
), told AS (
    SELECT pg_notify('aos_wake', agent_id::text) FROM parent
)
SELECT agent_id FROM parent, told;

-- untold_children
-- Children that are over and whose parents do not know: their process died in between.
SELECT tenant_id, run_id FROM runs
WHERE parent_run_id IS NOT NULL AND finished_at IS NOT NULL AND NOT parent_told
ORDER BY finished_at LIMIT $1;

-- has_unfinished
-- Whether an agent has anything left, waiting or not.
SELECT EXISTS (SELECT 1 FROM runs WHERE agent_id = $1 AND finished_at IS NULL);
