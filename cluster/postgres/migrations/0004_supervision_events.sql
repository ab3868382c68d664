-- What supervisors did is a record: rows are added, never changed, and removed only when they are old.
--
-- `at` is when it happened; a row may be written later, when Postgres is back from an outage.
-- `recorded_at` is when it was written: folds over the table need an order that nothing enters late.

ALTER TABLE supervision_events ADD COLUMN recorded_at timestamptz;
UPDATE supervision_events SET recorded_at = at;
ALTER TABLE supervision_events
    ALTER COLUMN recorded_at SET DEFAULT clock_timestamp(),
    ALTER COLUMN recorded_at SET NOT NULL;

CREATE INDEX supervision_events_of_tenant ON supervision_events (tenant_id, event_id DESC);

-- Trimming is the one way out, and no setting and no mistake can make it reach the last day.
CREATE FUNCTION supervision_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.recorded_at < now() - interval '1 day' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'supervision events are append-only'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER supervision_events_are_append_only BEFORE UPDATE OR DELETE ON supervision_events
    FOR EACH ROW EXECUTE FUNCTION supervision_events_are_append_only();
CREATE TRIGGER supervision_events_are_not_emptied BEFORE TRUNCATE ON supervision_events
    FOR EACH STATEMENT EXECUTE FUNCTION supervision_events_are_append_only();

-- Children are named by text: agents by their id, parts of the platform by a word.
CREATE FUNCTION agent_id_of(child text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN child ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN child::uuid END
$$;
