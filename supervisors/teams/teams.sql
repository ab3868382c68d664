-- insert_team
-- The unique name decides between two requests that make it at once.
INSERT INTO teams (team_id, tenant_id, name, declaration, declaration_hash)
VALUES ($1, $2, $3, $4::json, $5)
ON CONFLICT ON CONSTRAINT team_name_once DO NOTHING RETURNING team_id;

-- agents_named
-- Who is meant by the names in a declaration.
SELECT agent_id, name, profile FROM agents WHERE tenant_id = $1 AND name = ANY ($2::text[]);

-- insert_members
-- Those that are not returned are members of another team; somebody else may take one meanwhile.
INSERT INTO team_members (agent_id, team_id, tenant_id, child)
SELECT m.agent_id, $2, $1, m.child FROM unnest($3::uuid[], $4::text[]) AS m (agent_id, child)
ORDER BY m.agent_id
ON CONFLICT (agent_id) DO NOTHING RETURNING agent_id;

-- teams_of_agents
-- Whose members these agents are already.
SELECT a.name AS agent, t.name AS team
FROM team_members m JOIN teams t USING (team_id) JOIN agents a USING (agent_id)
WHERE m.tenant_id = $1 AND m.agent_id = ANY ($2::uuid[]) AND m.team_id <> $3 ORDER BY a.name;

-- note_goal
-- Which run a member's goal became.
UPDATE team_members SET run_id = $3 WHERE tenant_id = $1 AND agent_id = $2;

-- read_team
-- By id or by name.
SELECT * FROM teams WHERE tenant_id = $1 AND (team_id = $2::uuid OR name = $3::text);

-- list_teams
-- A page of a tenant's teams, oldest first; the cursor is the last id of the page before.
SELECT * FROM teams WHERE tenant_id = $1 AND ($2::uuid IS NULL OR team_id > $2)
ORDER BY team_id LIMIT $3;

-- members_of
-- Which agents stand where in a team.
SELECT m.child, m.agent_id, m.run_id, a.name
FROM team_members m JOIN agents a USING (agent_id) WHERE m.tenant_id = $1 AND m.team_id = $2;

-- start_team
-- Also of a team that runs: it may be quarantined, and a new generation ends that.
UPDATE teams SET state = 'running', generation = generation + 1, reason = '', detail = '',
    started_at = now(), ended_at = NULL
WHERE tenant_id = $1 AND team_id = $2;

-- stop_team
-- A team that has stopped or ended stays what it is.
UPDATE teams SET state = 'stopped', reason = 'stopped', detail = '', ended_at = now()
WHERE tenant_id = $1 AND team_id = $2 AND state = 'running';

-- delete_team
-- Its members go with it.
DELETE FROM teams WHERE tenant_id = $1 AND team_id = $2;

-- running_teams
-- What the keeper compares with what is there: a short list, and nothing else when all is well.
SELECT team_id, generation FROM teams WHERE state = 'running';

-- plans_of
-- Teams that the keeper does not know yet.
SELECT team_id, tenant_id, name, declaration, generation FROM teams
WHERE team_id = ANY ($1::uuid[]) AND state = 'running';

-- agents_of
-- The agents of several teams at once.
SELECT m.team_id, m.child, m.agent_id, a.name
FROM team_members m JOIN agents a USING (agent_id) WHERE m.team_id = ANY ($1::uuid[]);

-- end_team
-- A team ended by itself. Only the current supervisor process may say so, and only of the life that
-- it has seen: a deposed one sees its members taken away, and must not take that for an end.
UPDATE teams SET state = 'ended', reason = $3, detail = $4, ended_at = now()
WHERE team_id = $1 AND generation = $2 AND state = 'running'
  AND EXISTS (SELECT 1 FROM supervisors WHERE supervisor = $5 AND epoch = $6 FOR SHARE)
RETURNING team_id;

-- is_done
-- Whether a member has reached its goal and has nothing else to do.
SELECT EXISTS (
    SELECT 1 FROM team_members m JOIN runs r USING (run_id)
    WHERE m.agent_id = $1 AND r.finished_at IS NOT NULL
) AND NOT EXISTS (SELECT 1 FROM runs WHERE agent_id = $1 AND finished_at IS NULL);
