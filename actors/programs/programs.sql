-- keep_program
-- The same source under the same entry is the same program, and moves to the front of its name.
INSERT INTO programs (tenant_id, hash, name, entry, source) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, hash, entry) DO UPDATE SET name = $3, created_at = clock_timestamp();

-- newest_program
-- What a name stands for now.
SELECT name, hash, entry FROM programs WHERE tenant_id = $1 AND name = $2
ORDER BY created_at DESC LIMIT 1;

-- program_source
-- A program by content.
SELECT source FROM programs WHERE tenant_id = $1 AND hash = $2 AND entry = $3;

-- program_by_hash
-- A program by content; of several entries the newest.
SELECT name, hash, entry FROM programs WHERE tenant_id = $1 AND hash = $2
ORDER BY created_at DESC LIMIT 1;

-- list_programs
-- What each name stands for now.
SELECT DISTINCT ON (name) name, hash, entry, created_at FROM programs
WHERE tenant_id = $1 ORDER BY name, created_at DESC LIMIT $2;
