-- The ground: tenants, keys, agents, runs, their journal, and what supervisors did.
--
-- Runs and everything that belongs to a run are partitioned by run id. A run id is a UUIDv7, so a
-- range of ids is a range of time, a run's rows never straddle two partitions, (run_id, seq) can be
-- the primary key that the journal needs, and retention drops a partition instead of deleting rows.
-- There are no foreign keys from partitioned tables: the one writer of each row is fenced already.

CREATE TABLE tenants (
    tenant_id text PRIMARY KEY CONSTRAINT tenant_id_form CHECK (tenant_id ~ '^[a-z][a-z0-9_-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (tenant_id) VALUES ('default');

CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    secret_hash bytea NOT NULL CONSTRAINT secret_hash_is_sha256 CHECK (octet_length(secret_hash) = 32),
    role text NOT NULL CONSTRAINT key_role CHECK (role IN ('viewer', 'operator', 'admin')),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE agents (
    agent_id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL,
    profile json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agent_name_once UNIQUE (tenant_id, name)
);
CREATE INDEX agents_of_tenant ON agents (tenant_id, agent_id);

-- One row per agent that was ever active. `epoch` is the fence: it only grows, and whoever holds
-- the current one is the only writer of the agent's runs.
CREATE TABLE activations (
    agent_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    epoch bigint NOT NULL CONSTRAINT epoch_counts_from_zero CHECK (epoch >= 0),
    state text NOT NULL CONSTRAINT activation_state CHECK (state IN ('passive', 'active', 'quarantined')),
    host text,
    pid integer,
    node_id text,
    activated_at timestamptz,
    quarantined_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    CONSTRAINT active_has_host CHECK (state <> 'active' OR host IS NOT NULL)
);
CREATE INDEX activations_active ON activations (agent_id) WHERE state = 'active';

-- Who decides for the agents: a deposed supervisor process cannot activate anybody.
CREATE TABLE supervisors (
    supervisor text PRIMARY KEY,
    epoch bigint NOT NULL,
    pid integer NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE supervision_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant_id text,
    supervisor text NOT NULL,
    child text NOT NULL,
    epoch bigint,
    kind text NOT NULL,
    reason text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    delay_ms integer NOT NULL DEFAULT 0
);
CREATE INDEX supervision_events_of_child ON supervision_events (child, event_id DESC);

CREATE TABLE runs (
    run_id uuid NOT NULL,
    tenant_id text NOT NULL,
    agent_id uuid NOT NULL,
    root_run_id uuid NOT NULL,
    parent_run_id uuid,
    goal text NOT NULL,
    planner text NOT NULL,
    priority smallint NOT NULL DEFAULT 0,
    trace_id text NOT NULL,
    code_version text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CONSTRAINT run_status CHECK (status IN (
        'pending', 'running', 'waiting', 'paused',
        'completed', 'failed', 'partial', 'cancelled', 'quarantined')),
    last_seq integer NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    progress_epoch bigint NOT NULL DEFAULT 0,
    steps integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    cost_microusd bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    code text,
    message text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (run_id),
    CONSTRAINT finished_runs_have_a_time CHECK (
        (status IN ('completed', 'failed', 'partial', 'cancelled', 'quarantined'))
        = (finished_at IS NOT NULL))
) PARTITION BY RANGE (run_id);
CREATE INDEX runs_of_tenant ON runs (tenant_id, run_id DESC);
CREATE INDEX runs_of_agent ON runs (agent_id, run_id DESC);
CREATE INDEX runs_unfinished ON runs (agent_id, priority DESC, run_id) WHERE finished_at IS NULL;

-- Append-only. `body` is canonical JSON, kept byte for byte (json, not jsonb). `tx` is the writing
-- transaction, so that folds over all journals can read "everything committed since" exactly once.
CREATE TABLE journal (
    run_id uuid NOT NULL,
    seq integer NOT NULL CONSTRAINT seq_counts_from_one CHECK (seq >= 1),
    tenant_id text NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    version smallint NOT NULL,
    at timestamptz NOT NULL,
    tx bigint NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint,
    body json NOT NULL,
    PRIMARY KEY (run_id, seq)
) PARTITION BY RANGE (run_id);
CREATE INDEX journal_by_transaction ON journal USING brin (tx) WITH (pages_per_range = 16, autosummarize = on);

CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();

-- Values over the threshold, once per run and content.
CREATE TABLE blobs (
    run_id uuid NOT NULL,
    hash text NOT NULL CONSTRAINT hash_is_sha256 CHECK (hash ~ '^sha256:[0-9a-f]{64}$'),
    tenant_id text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (run_id, hash)
) PARTITION BY RANGE (run_id);
ALTER TABLE blobs ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE runs_default PARTITION OF runs DEFAULT;
CREATE TABLE journal_default PARTITION OF journal DEFAULT;
CREATE TABLE blobs_default PARTITION OF blobs DEFAULT;

CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    key text NOT NULL CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255),
    request_hash text NOT NULL,
    run_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

-- Where a fold over all journals had got to, so that counters survive their process.
CREATE TABLE folds (
    name text PRIMARY KEY,
    tx bigint NOT NULL,
    state json NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);

-- The smallest UUIDv7 of an instant.
CREATE FUNCTION id_floor(instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || '70008000000000000000')::uuid
$$;

-- Weekly partitions from the current week on. Made ahead of time, so the default ones stay empty.
CREATE FUNCTION ensure_partitions(weeks integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    first timestamptz := date_trunc('week', now(), 'UTC');
    lower_bound timestamptz;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('aos.partitions'));
    FOR week IN 0 .. weeks - 1 LOOP
        lower_bound := first + make_interval(days => 7 * week);
        FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
            part := parent || to_char(lower_bound AT TIME ZONE 'UTC', '"_"YYYYMMDD');
            IF to_regclass(part) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    part, parent, id_floor(lower_bound), id_floor(lower_bound + interval '7 days'));
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions(5);
