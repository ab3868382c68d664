-- agent_owners
-- The tree knows agents by id; who may see them depends on the tenant, and people know their names.
SELECT agent_id::text AS id, tenant_id, name FROM agents WHERE agent_id = ANY ($1::uuid[]);
