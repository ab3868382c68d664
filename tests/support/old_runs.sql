-- an_agent
-- Whose runs they are.
INSERT INTO agents (agent_id, tenant_id, name, profile)
VALUES ($1, 'default', 'old-hand', '{"name": "old-hand"}') ON CONFLICT DO NOTHING;

-- ids
-- One id a second from an instant on; a number tells ids of the same instants apart.
SELECT overlay(id_floor($1::timestamptz + n * interval '1 second')::text
               placing lpad(to_hex($3::bigint + n), 12, '0') from 25)::uuid AS run_id
FROM generate_series(0, $2::int - 1) n ORDER BY 1;

-- runs
-- Their rows. Those that are not finished wait for a word, so that nobody takes them up.
INSERT INTO runs (run_id, tenant_id, agent_id, root_run_id, goal, planner, trace_id, code_version,
                  status, last_seq, epoch, steps, attempts, created_at, started_at, finished_at,
                  wake_at)
SELECT id, $2, $3, id, 'an old goal', 'rules', md5(id::text), 'aos-0.1.0',
       CASE WHEN $4 THEN 'completed' ELSE 'waiting' END, CASE WHEN $4 THEN 9 ELSE 8 END, 1, 5, 6,
       id_instant(id), id_instant(id), CASE WHEN $4 THEN id_instant(id) + interval '1 second' END,
       CASE WHEN $4 THEN '-infinity'::timestamptz ELSE 'infinity' END
FROM unnest($1::uuid[]) id;

-- journals
-- Their journals: five steps, and an end if they have one.
INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)
SELECT id, seq, $2, least(seq - 1, 1),
       CASE seq WHEN 1 THEN 'run_submitted' WHEN 2 THEN 'run_started'
                WHEN 9 THEN 'run_finished' ELSE 'step_settled' END,
       1, id_instant(id),
       CASE seq
           WHEN 1 THEN json_build_object('goal', 'an old goal', 'planner', 'rules')
           WHEN 2 THEN json_build_object('epoch', 1)
           WHEN 9 THEN json_build_object('answer', repeat('words ', 20), 'code', 'OK',
                                         'status', 'completed')
           ELSE json_build_object(
               'attempt', 1, 'effects', 'read', 'idempotency_key', id || '/s' || seq || '/1',
               'outcome', json_build_object(
                   'code', 'OK', 'duration_ms', 3, 'output', repeat('words ', 20),
                   'skill', 'http_call', 'status', 'success', 'version', '1.0.0'),
               'step_id', 's' || seq) END
FROM unnest($1::uuid[]) id, generate_series(1, CASE WHEN $3 THEN 9 ELSE 8 END) seq;

-- keys
-- Their idempotency keys.
INSERT INTO idempotency_keys (tenant_id, key, request_hash, run_id)
SELECT $2, 'key-' || id, 'h', id FROM unnest($1::uuid[]) id;
