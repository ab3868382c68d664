-- Retention: finished runs go by partitions, and nothing that is not finished goes at all.
--
-- A removal takes a partition out of its parents in one short transaction. What is to stay of it was
-- copied beforehand into tables that take its place; what is left is dropped when nobody can see it
-- any more. Nobody waits for anything but that transaction: the argument is in `actors/retention`.

-- TRUNCATE fires no row trigger, and a statement's trigger stands on the table that it names.
CREATE TRIGGER journal_is_not_emptied BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'journal'::regclass LOOP
        EXECUTE format('CREATE TRIGGER journal_is_not_emptied BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()', part);
    END LOOP;
END $$;

-- As before, with that trigger; and a week that the default partitions already have rows of stays
-- theirs, in all three tables, instead of keeping every later week from being made.
CREATE OR REPLACE FUNCTION ensure_partitions(weeks integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    first timestamptz := date_trunc('week', now(), 'UTC');
    since uuid;
    until uuid;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('aos.partitions'));
    FOR week IN 0 .. weeks - 1 LOOP
        since := id_floor(first + make_interval(days => 7 * week));
        until := id_floor(first + make_interval(days => 7 * (week + 1)));
        CONTINUE WHEN EXISTS (SELECT 1 FROM runs_default WHERE run_id >= since AND run_id < until)
            OR EXISTS (SELECT 1 FROM journal_default WHERE run_id >= since AND run_id < until)
            OR EXISTS (SELECT 1 FROM blobs_default WHERE run_id >= since AND run_id < until);
        FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
            part := parent || to_char(
                (first + make_interval(days => 7 * week)) AT TIME ZONE 'UTC', '"_"YYYYMMDD');
            CONTINUE WHEN to_regclass(part) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                part, parent, since, until);
            IF parent = 'journal' THEN
                EXECUTE format('CREATE TRIGGER journal_is_not_emptied BEFORE TRUNCATE ON %I '
                               'FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()', part);
            END IF;
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- One removal of finished runs from one partition. `horizon`: whatever a transaction below it has
-- written was seen when it was decided what stays. `ended_before`: runs that ended later stay.
CREATE TABLE removals (
    removal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    part text NOT NULL,
    ended_before timestamptz NOT NULL,
    horizon bigint NOT NULL,
    state text NOT NULL DEFAULT 'begun'
        CONSTRAINT removal_state CHECK (state IN ('begun', 'detached', 'removed')),
    runs bigint NOT NULL DEFAULT 0,
    kept bigint NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detached_at timestamptz,
    removed_at timestamptz
);
CREATE UNIQUE INDEX one_removal_at_a_time ON removals (part) WHERE state = 'begun';
CREATE INDEX removals_under_way ON removals (removal_id) WHERE state <> 'removed';

-- Which runs of the partition stay. Gone with the removal's end.
CREATE TABLE removal_keeps (
    removal_id bigint NOT NULL REFERENCES removals ON DELETE CASCADE,
    run_id uuid NOT NULL,
    PRIMARY KEY (removal_id, run_id)
);

-- The files that hold what was removed: one per removal and tenant, complete when it is named here.
CREATE TABLE archives (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    removal_id bigint NOT NULL REFERENCES removals ON DELETE CASCADE,
    tenant_id text NOT NULL,
    path text NOT NULL,
    runs bigint NOT NULL,
    events bigint NOT NULL,
    blobs bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL CONSTRAINT archive_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT one_archive_per_tenant UNIQUE (removal_id, tenant_id)
);
CREATE INDEX archives_of_tenant ON archives (tenant_id, archive_id DESC);

-- Keys go with their runs.
CREATE INDEX idempotency_keys_of_run ON idempotency_keys (run_id);

-- The partitions of runs: the day that a week begins with, or `default`, which has no bounds.
CREATE VIEW run_parts AS
SELECT substr(c.relname::text, 6) AS part,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([0-9a-f-]+)''\)'))[1]::uuid AS lower,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([0-9a-f-]+)''\)'))[1]::uuid AS upper
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'runs'::regclass;

-- The instant of a UUIDv7.
CREATE FUNCTION id_instant(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint) / 1000.0)
$$;

-- The runs of a partition that may go: they ended before an instant, and neither the run that began
-- their tree nor their parent is unfinished, which may yet ask for them. A finished run stays so,
-- therefore whoever may go once may go for ever.
CREATE FUNCTION removable_runs(of_part text, before timestamptz)
RETURNS TABLE (run_id uuid, tenant_id text) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        SELECT r.run_id, r.tenant_id FROM %I r
        WHERE r.finished_at <= $1
          AND (r.parent_run_id IS NULL OR NOT EXISTS (
              SELECT 1 FROM runs over
              WHERE over.run_id IN (r.root_run_id, r.parent_run_id) AND over.finished_at IS NULL))
        $query$, 'runs_' || of_part) USING before;
END $$;

-- How many runs of a partition may go, and how many are in it.
CREATE FUNCTION count_removable(of_part text, before timestamptz, OUT removable bigint, OUT runs bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT count(*) INTO removable FROM removable_runs(of_part, before);
    EXECUTE format('SELECT count(*) FROM %I', 'runs_' || of_part) INTO runs;
END $$;

-- Decide what stays of a partition: its number, or null if a removal of it is under way. The horizon
-- is taken before the first row is looked at.
CREATE FUNCTION begin_removal(of_part text, before timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    it bigint;
    staying bigint;
    summary regclass;
BEGIN
    INSERT INTO removals (part, ended_before, horizon)
    VALUES (of_part, before, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
    ON CONFLICT DO NOTHING RETURNING removal_id INTO it;
    IF it IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO removal_keeps SELECT $1, r.run_id FROM %I r '
                   'WHERE NOT EXISTS (SELECT 1 FROM removable_runs($2, $3) go WHERE go.run_id = r.run_id)',
        'runs_' || of_part) USING it, of_part, before;
    GET DIAGNOSTICS staying = ROW_COUNT;
    UPDATE removals SET kept = staying,
        runs = (SELECT c.runs FROM count_removable(of_part, before) c) - staying
    WHERE removal_id = it;
    -- What was written since the horizon is looked for under the lock: it must be found at once.
    FOR summary IN
        SELECT x.indexrelid FROM pg_index x
        JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam
        WHERE x.indrelid = ('journal_' || of_part)::regclass AND a.amname = 'brin'
    LOOP
        PERFORM brin_summarize_new_values(summary);
    END LOOP;
    RETURN it;
END $$;

-- The next runs that go, in the order of their ids, of one tenant or (null) of all: whole rows as JSON.
CREATE FUNCTION doomed_runs(it bigint, of_tenant text, after uuid, at_most integer)
RETURNS TABLE (run_id uuid, line text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    removal removals;
BEGIN
    SELECT * INTO removal FROM removals WHERE removal_id = it;
    RETURN QUERY EXECUTE format($query$
        SELECT r.run_id, to_json(r)::text FROM %I r
        WHERE r.run_id > $1 AND r.finished_at <= $2 AND ($3 IS NULL OR r.tenant_id = $3)
          AND NOT EXISTS (
              SELECT 1 FROM removal_keeps k WHERE k.removal_id = $4 AND k.run_id = r.run_id)
        ORDER BY r.run_id LIMIT $5
        $query$, 'runs_' || removal.part) USING after, removal.ended_before, of_tenant, it, at_most;
END $$;

-- Copy what stays into tables that can take the partition's place. Rows that are written meanwhile
-- are fetched by `swap_removal`; the rows of `runs` too, since they change.
CREATE FUNCTION stage_removal(it bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    removal removals;
    bounds run_parts;
    parent text;
    stage text;
BEGIN
    SELECT * INTO removal FROM removals WHERE removal_id = it AND state = 'begun' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO bounds FROM run_parts WHERE part = removal.part;
    FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
        stage := format('%s_%s_kept_%s', parent, removal.part, it);
        IF to_regclass(stage) IS NOT NULL THEN
            EXECUTE format('DROP TABLE %I', stage);  -- it may be of an older schema
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', stage, parent);
        IF bounds.lower IS NOT NULL THEN  -- then nothing is scanned when it is attached
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT of_this_part CHECK (run_id >= %L AND run_id < %L)',
                stage, bounds.lower, bounds.upper);
        END IF;
        IF parent <> 'runs' THEN
            EXECUTE format('INSERT INTO %I SELECT p.* FROM %I p WHERE EXISTS ('
                           'SELECT 1 FROM removal_keeps k WHERE k.removal_id = $1 AND k.run_id = p.run_id)',
                stage, format('%s_%s', parent, removal.part)) USING it;
        END IF;
    END LOOP;
    EXECUTE format('CREATE TRIGGER journal_is_not_emptied BEFORE TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()',
        format('journal_%s_kept_%s', removal.part, it));
END $$;

-- The short transaction: the partition out, what stays of it in. The caller bounds how long it may
-- wait for its locks (`lock_timeout`): whoever comes after it waits for them too. The order of the
-- parents is that of a submission; against an append it may be a deadlock, which the bound ends.
-- Answers `detached`, or `stage` if something stays that nothing is prepared for, or `over`.
CREATE FUNCTION swap_removal(it bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    removal removals;
    bounds run_parts;
    parent text;
    part text;
    stage text;
    news uuid[];
BEGIN
    SELECT * INTO removal FROM removals WHERE removal_id = it AND state = 'begun' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'over';
    END IF;
    LOCK TABLE ONLY runs IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY journal IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY blobs IN ACCESS EXCLUSIVE MODE;
    SELECT * INTO bounds FROM run_parts WHERE run_parts.part = removal.part;
    -- Nobody writes now. What was written since the horizon is about runs that stay: those that were
    -- unfinished then, those that have come since, and (no version of AOS does it) finished ones.
    EXECUTE format('SELECT array_agg(DISTINCT run_id) FROM %I WHERE tx >= $1', 'journal_' || removal.part)
        INTO news USING removal.horizon;
    INSERT INTO removal_keeps SELECT it, n FROM unnest(news) n ON CONFLICT DO NOTHING;
    IF (bounds.lower IS NULL OR EXISTS (SELECT 1 FROM removal_keeps WHERE removal_id = it))
       AND to_regclass(format('runs_%s_kept_%s', removal.part, it)) IS NULL THEN
        RETURN 'stage';
    END IF;
    FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
        part := format('%s_%s', parent, removal.part);
        stage := format('%s_%s_kept_%s', parent, removal.part, it);
        IF to_regclass(stage) IS NOT NULL THEN
            IF parent = 'runs' THEN
                EXECUTE format('INSERT INTO %I SELECT r.* FROM %I r JOIN removal_keeps k '
                               'ON k.run_id = r.run_id AND k.removal_id = $1', stage, part) USING it;
            ELSE
                EXECUTE format('INSERT INTO %I SELECT p.* FROM %I p WHERE p.run_id = ANY ($1) '
                               'ON CONFLICT DO NOTHING', stage, part) USING news;
            END IF;
        END IF;
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, part);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part, format('%s_gone_%s', part, it));
        IF to_regclass(stage) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I RENAME TO %I', stage, part);
            IF bounds.lower IS NULL THEN
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', parent, part);
            ELSE
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    parent, part, bounds.lower, bounds.upper);
                EXECUTE format('ALTER TABLE %I DROP CONSTRAINT of_this_part', part);
            END IF;
        END IF;
    END LOOP;
    UPDATE removals SET state = 'detached', detached_at = clock_timestamp(),
        kept = (SELECT count(*) FROM removal_keeps WHERE removal_id = it)
    WHERE removal_id = it;
    RETURN 'detached';
END $$;

-- Drop what nobody can see any more.
CREATE FUNCTION finish_removal(it bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    removal removals;
    parent text;
BEGIN
    SELECT * INTO removal FROM removals WHERE removal_id = it AND state = 'detached' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
        EXECUTE format('DROP TABLE %I', format('%s_%s_gone_%s', parent, removal.part, it));
    END LOOP;
    DELETE FROM removal_keeps WHERE removal_id = it;
    UPDATE removals SET state = 'removed', removed_at = clock_timestamp() WHERE removal_id = it;
END $$;

-- Give up a removal that was only begun: the policy has changed, and nothing has gone yet.
CREATE FUNCTION abandon_removal(it bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    removal removals;
    parent text;
BEGIN
    SELECT * INTO removal FROM removals WHERE removal_id = it AND state = 'begun' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', format('%s_%s_kept_%s', parent, removal.part, it));
    END LOOP;
    DELETE FROM removals WHERE removal_id = it;
END $$;
