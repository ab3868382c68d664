-- create_key
-- Only the hash of the secret is kept: nobody can read a key back.
INSERT INTO api_keys (key_id, tenant_id, secret_hash, role, name) VALUES ($1, $2, $3, $4, $5);

-- find_key
-- What is needed to judge a presented key; revoked ones are found too, and refused.
SELECT tenant_id, secret_hash, role, revoked_at FROM api_keys WHERE key_id = $1;

-- revoke_key
-- A key is never deleted: who had access stays known.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
WHERE tenant_id = $1 AND key_id = $2 RETURNING key_id;
