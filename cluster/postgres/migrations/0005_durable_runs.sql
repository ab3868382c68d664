-- Runs that wait, are told things, have children and programs; a journal that shows tampering.

-- `wake_at`: when the run next needs a process. -infinity: now. An instant: then. infinity: when
-- somebody says something. `messages` counts what was ever said to the run, `heard` how far it has
-- listened: both are changed under the row's lock, so numbers have no gaps and no order but theirs.
ALTER TABLE runs
    ADD COLUMN wake_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN waits_for text,
    ADD COLUMN messages integer NOT NULL DEFAULT 0,
    ADD COLUMN heard integer NOT NULL DEFAULT 0,
    ADD COLUMN derived_from uuid,
    ADD COLUMN derived_how text,
    ADD COLUMN program text,
    ADD COLUMN parent_step_id text,
    ADD COLUMN parent_told boolean NOT NULL DEFAULT false;

DROP INDEX runs_unfinished;
CREATE INDEX runs_unfinished ON runs (agent_id, wake_at, priority DESC, run_id)
    WHERE finished_at IS NULL;
CREATE INDEX runs_due ON runs (wake_at) WHERE finished_at IS NULL;
CREATE INDEX runs_children ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_untold ON runs (finished_at)
    WHERE parent_run_id IS NOT NULL AND finished_at IS NOT NULL AND NOT parent_told;
CREATE INDEX runs_dead_letters ON runs (tenant_id, run_id DESC) WHERE status = 'quarantined';

-- What was said to unfinished runs. A row stays as long as its run is unfinished, so that saying it
-- again under the same key is known to be the same.
CREATE TABLE inbox (
    run_id uuid NOT NULL,
    number integer NOT NULL CONSTRAINT number_counts_from_one CHECK (number >= 1),
    tenant_id text NOT NULL,
    kind text NOT NULL,
    key text,
    said_by text NOT NULL DEFAULT '',
    said_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body json NOT NULL,
    PRIMARY KEY (run_id, number)
);
CREATE UNIQUE INDEX inbox_key_once ON inbox (run_id, key) WHERE key IS NOT NULL;

-- Each row's chain is a hash of the row and of the chain before it: whoever knows the last one can
-- tell whether anything before it was changed. Rows written before this migration have none.
ALTER TABLE journal ADD COLUMN chain bytea
    CONSTRAINT chain_is_sha256 CHECK (octet_length(chain) = 32);

-- Sources of durable programs, by content.
CREATE TABLE programs (
    tenant_id text NOT NULL REFERENCES tenants,
    hash text NOT NULL CONSTRAINT program_hash_is_sha256 CHECK (hash ~ '^sha256:[0-9a-f]{64}$'),
    name text NOT NULL,
    entry text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, hash, entry)
);
CREATE INDEX programs_by_name ON programs (tenant_id, name, created_at DESC);

-- Emergency stops. A tenant of null stops everybody. Rows are lifted, never removed.
CREATE TABLE stops (
    stop_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text REFERENCES tenants,
    reason text NOT NULL,
    stopped_by text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_by text,
    lifted_at timestamptz
);
CREATE UNIQUE INDEX one_stop_at_a_time ON stops (coalesce(tenant_id, '')) WHERE lifted_at IS NULL;

-- What operators did with dead letters and runs, who and why. Append-only like the journal.
CREATE TABLE operator_actions (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant_id text,
    run_id uuid,
    action text NOT NULL,
    by_whom text NOT NULL,
    reason text NOT NULL DEFAULT '',
    detail json NOT NULL DEFAULT '{}'
);
CREATE INDEX operator_actions_of_run ON operator_actions (run_id, action_id);
CREATE TRIGGER operator_actions_are_append_only BEFORE UPDATE OR DELETE ON operator_actions
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
CREATE TRIGGER operator_actions_are_not_emptied BEFORE TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
