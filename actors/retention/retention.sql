-- list_parts
-- The partitions of runs, the oldest first and the default one last, each with its last removal.
SELECT p.part, id_instant(p.lower) AS begins, id_instant(p.upper) AS until,
       (SELECT max(r.detached_at) FROM removals r WHERE r.part = p.part) AS last
FROM run_parts p ORDER BY p.lower NULLS LAST;

-- now
-- Postgres's clock decides what is old.
SELECT clock_timestamp();

-- count_part
-- How many runs of a partition may go, and how many there are.
SELECT removable, runs FROM count_removable($1, $2);

-- under_way
-- Removals that were begun and not ended, by whatever process.
SELECT removal_id, part, ended_before, state, runs, kept FROM removals
WHERE state <> 'removed' ORDER BY removal_id;

-- begin
-- Decide who stays. Null: somebody has begun already.
SELECT begin_removal($1, $2);

-- abandon
-- Forget a removal from which nothing has gone.
SELECT abandon_removal($1);

-- stage
-- Copy what stays into tables that can take the partition's place.
SELECT stage_removal($1);

-- wait_briefly
-- In this transaction, for locks.
SELECT set_config('lock_timeout', $1::int || 'ms', true);

-- swap
-- The short transaction.
SELECT swap_removal($1);

-- finish
-- Drop what nobody can see any more.
SELECT finish_removal($1);

-- tenants_of
-- Whose runs go.
SELECT DISTINCT go.tenant_id
FROM removals m CROSS JOIN LATERAL removable_runs(m.part, m.ended_before) go
WHERE m.removal_id = $1
  AND NOT EXISTS (SELECT 1 FROM removal_keeps k WHERE k.removal_id = $1 AND k.run_id = go.run_id)
ORDER BY go.tenant_id;

-- doomed_page
-- The next runs of a tenant that go, after an id.
SELECT run_id, line FROM doomed_runs($1, $2, $3, $4);

-- events_of
-- Whole journals, whole rows: what an archive must have of these runs.
SELECT run_id, to_json(j)::text AS line FROM journal j
WHERE tenant_id = $1 AND run_id = ANY ($2::uuid[]) ORDER BY run_id, seq;

-- blobs_of
-- Which large values these runs have. They are read one by one: each may be large.
SELECT run_id, hash FROM blobs WHERE tenant_id = $1 AND run_id = ANY ($2::uuid[])
ORDER BY run_id, hash;

-- blob
-- One large value.
SELECT content FROM blobs WHERE tenant_id = $1 AND run_id = $2 AND hash = $3;

-- record_archive
-- A file is complete and in its place.
INSERT INTO archives (removal_id, tenant_id, path, runs, events, blobs, bytes, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (removal_id, tenant_id) DO UPDATE SET
    path = EXCLUDED.path, runs = EXCLUDED.runs, events = EXCLUDED.events, blobs = EXCLUDED.blobs,
    bytes = EXCLUDED.bytes, sha256 = EXCLUDED.sha256, written_at = clock_timestamp();

-- archives_written
-- Which tenants' files a removal has.
SELECT tenant_id, path, bytes FROM archives WHERE removal_id = $1;

-- release_keys
-- Keys of the next runs that go, so many at a time; the last id comes back, null at the end.
WITH next AS MATERIALIZED (
    SELECT run_id FROM doomed_runs($1, NULL, $2, $3)
), gone AS (
    DELETE FROM idempotency_keys k USING next WHERE k.run_id = next.run_id
)
SELECT run_id FROM next ORDER BY run_id DESC LIMIT 1;

-- archives_page
-- Archives, newest first. A tenant of null sees everybody's.
SELECT a.archive_id, a.removal_id, a.tenant_id, m.part, a.path, a.runs, a.events, a.blobs, a.bytes,
       a.sha256, a.written_at, m.state
FROM archives a JOIN removals m USING (removal_id)
WHERE ($1::text IS NULL OR a.tenant_id = $1) AND ($2::bigint IS NULL OR a.archive_id < $2)
ORDER BY a.archive_id DESC LIMIT $3;

-- last_removals
-- What was removed last, newest first.
SELECT removal_id, part, ended_before, state, runs, kept, began_at, detached_at, removed_at
FROM removals ORDER BY removal_id DESC LIMIT $1;
