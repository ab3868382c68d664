-- owners
-- The tree knows agents and teams by id; who may see them depends on the tenant, and people know
-- their names.
SELECT agent_id AS id, tenant_id, name FROM agents WHERE agent_id = ANY ($1::uuid[])
UNION ALL
SELECT team_id, tenant_id, name FROM teams WHERE team_id = ANY ($1::uuid[]);
