-- Processes that are, or can be, agents. A lease that is renewed for all processes of a machine in one
-- statement says that the machine and its manager are there; who holds an expired one may be replaced.
CREATE TABLE hosts (
    host text PRIMARY KEY,
    node_id text NOT NULL,
    pid integer NOT NULL,
    state text NOT NULL CONSTRAINT host_state CHECK (state IN ('warm', 'taken', 'dead')),
    tenant_id text,
    served integer NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
) WITH (fillfactor = 50);
CREATE INDEX hosts_of_node ON hosts (node_id) WHERE state <> 'dead';
CREATE INDEX activations_of_host ON activations (host) WHERE state = 'active';
