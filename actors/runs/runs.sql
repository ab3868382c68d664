-- append_journal
-- Fence and append in one statement: the lock on the activation's row makes a later activation wait
-- for us, and makes us see its epoch if it was first. No row back means: fenced, nothing written.
WITH fence AS MATERIALIZED (
    SELECT 1 AS held FROM activations WHERE agent_id = $1 AND epoch = $2 FOR NO KEY UPDATE
), appended AS (
    INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)
    SELECT e.run_id, e.seq, $3, $2, e.kind, e.version, e.at, e.body::json
    FROM fence, unnest($4::uuid[], $5::int[], $6::text[], $7::smallint[], $8::timestamptz[], $9::text[])
        AS e (run_id, seq, kind, version, at, body)
), stored AS (
    INSERT INTO blobs (run_id, hash, tenant_id, content)
    SELECT b.run_id, b.hash, $3, b.content
    FROM fence, unnest($10::uuid[], $11::text[], $12::bytea[]) AS b (run_id, hash, content)
    ON CONFLICT DO NOTHING
), projected AS (
    UPDATE runs SET
        status = p.status, last_seq = p.last_seq, epoch = $2, progress_epoch = p.progress_epoch,
        steps = p.steps, attempts = p.attempts, cost_microusd = p.cost,
        input_tokens = p.input_tokens, output_tokens = p.output_tokens,
        code = p.code, message = p.message, started_at = p.started_at, finished_at = p.finished_at
    FROM fence, unnest($13::uuid[], $14::text[], $15::int[], $16::bigint[], $17::int[], $18::int[],
                       $19::bigint[], $20::bigint[], $21::bigint[], $22::text[], $23::text[],
                       $24::timestamptz[], $25::timestamptz[])
        AS p (run_id, status, last_seq, progress_epoch, steps, attempts, cost, input_tokens,
              output_tokens, code, message, started_at, finished_at)
    WHERE runs.run_id = p.run_id AND runs.tenant_id = $3
)
SELECT held FROM fence;

-- landed_sequences
-- After a commit whose answer was lost: how far our own epoch's rows reach in each run.
SELECT run_id, max(seq) AS seq FROM journal
WHERE run_id = ANY ($1::uuid[]) AND epoch = $2 GROUP BY run_id;

-- submit_run
-- The row that lists and filters, made together with the first journal event.
INSERT INTO runs (run_id, tenant_id, agent_id, root_run_id, goal, planner, priority, trace_id,
                  code_version, last_seq)
VALUES ($1, $2, $3, $1, $4, $5, $6, $7, $8, 1);

-- submit_event
-- The one event that no activation writes: there is no activation yet.
INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)
VALUES ($1, 1, $2, 0, $3, $4, $5, $6::json);

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
SELECT seq, kind, version, at, epoch, body FROM journal
WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4;

-- read_blob
-- A value that was too large for its event.
SELECT content FROM blobs WHERE tenant_id = $1 AND run_id = $2 AND hash = $3;

-- heads
-- Which of these runs have got further: what followers of live runs ask.
SELECT run_id, last_seq FROM runs WHERE run_id = ANY ($1::uuid[]);

-- unfinished_of_agent
-- The next runs of an agent that this activation has not taken up, in order of priority and age.
SELECT run_id FROM runs
WHERE agent_id = $1 AND tenant_id = $2 AND finished_at IS NULL AND NOT (run_id = ANY ($3::uuid[]))
ORDER BY priority DESC, run_id LIMIT $4;

-- journals_of
-- Whole journals of several runs at once: one round trip for an activation.
SELECT run_id, seq, kind, version, body FROM journal
WHERE tenant_id = $1 AND run_id = ANY ($2::uuid[]) ORDER BY run_id, seq;
