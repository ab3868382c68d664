-- Teams: supervisors that users declare, and the agents that belong to them.
--
-- `state` says what should be: running, stopped by a person, or ended by itself. `generation` grows
-- with each start, so that a late word about an earlier life of the team changes nothing.

CREATE TABLE teams (
    team_id uuid PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL,
    declaration json NOT NULL,
    declaration_hash text NOT NULL,
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT team_state CHECK (state IN ('running', 'stopped', 'ended')),
    generation bigint NOT NULL DEFAULT 1,
    reason text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT team_name_once UNIQUE (tenant_id, name),
    CONSTRAINT running_teams_have_no_end CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX teams_of_tenant ON teams (tenant_id, team_id);
CREATE INDEX teams_running ON teams (team_id) WHERE state = 'running';

-- The primary key is the rule: an agent is a member of at most one team. `child` is where it stands
-- in it, such as `desk/scribe`; `run_id` the run that its goal became when the team was made.
CREATE TABLE team_members (
    agent_id uuid PRIMARY KEY REFERENCES agents,
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    tenant_id text NOT NULL,
    child text NOT NULL,
    run_id uuid,
    CONSTRAINT child_once UNIQUE (team_id, child)
);
