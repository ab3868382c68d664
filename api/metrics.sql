-- read_fold
-- What had been counted, and up to where: transactions of journals, ids of supervision events.
SELECT tx, state FROM folds WHERE name = $1;

-- begin_fold
-- The first front of an installation counts from the first transaction on; the others find it done.
INSERT INTO folds (name, tx, state) VALUES ($1, 0, $2::json) ON CONFLICT DO NOTHING;

-- save_fold
-- Compare and set: of two fronts that counted the same page, one saves it and the other starts over.
UPDATE folds SET tx = $3, state = $4::json, saved_at = now() WHERE name = $1 AND tx = $2 RETURNING tx;

-- journal_horizon
-- Below this transaction everything is settled: committed and visible, or undone for ever.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- journal_page
-- Settled events of a range of transactions, with what their runs are known for. A transaction is
-- never cut in two: its last row's companions come along. Epoch 0 is no news: the first event of a
-- run, and what a derived run keeps of its source, where it was counted.
SELECT j.tx, j.kind, j.version, j.body, r.planner, r.created_at
FROM journal j JOIN runs r USING (run_id)
WHERE j.tx >= $1 AND j.tx < $2 AND j.epoch > 0
ORDER BY j.tx FETCH FIRST $3 ROWS WITH TIES;

-- settled_restarts
-- Supervision events that were written ten minutes ago: ids are drawn before they are committed, no
-- supervisor's transaction lasts a tenth of that, so nothing can appear among these any more.
WITH horizon AS (
    SELECT coalesce(min(event_id) FILTER (WHERE recorded_at >= now() - interval '10 minutes') - 1,
                    max(event_id), 0) AS last
    FROM supervision_events WHERE event_id > $1
)
SELECT CASE WHEN supervisor = 'root' THEN child WHEN supervisor = 'hosts' THEN 'hosts'
            WHEN agent_id_of(child) IS NOT NULL THEN 'agent' ELSE 'team' END AS kind,
       count(*) FILTER (WHERE e.kind = 'restarting') AS restarts,
       (SELECT last FROM horizon) AS last
FROM supervision_events e
WHERE e.event_id > $1 AND e.event_id <= (SELECT last FROM horizon) GROUP BY 1;

-- recent_restarts
-- The rest, counted afresh at each scrape.
SELECT CASE WHEN supervisor = 'root' THEN child WHEN supervisor = 'hosts' THEN 'hosts'
            WHEN agent_id_of(child) IS NOT NULL THEN 'agent' ELSE 'team' END AS kind,
       count(*) AS restarts
FROM supervision_events WHERE event_id > $1 AND kind = 'restarting' GROUP BY 1;

-- runs_now
-- Unfinished runs of all tenants, by where they stand.
SELECT status, count(*) AS runs FROM runs WHERE finished_at IS NULL GROUP BY status;
