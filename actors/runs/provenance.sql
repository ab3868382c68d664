-- run_of_tenant
-- Whether a tenant has a run, whose it is, and how far its journal reaches.
SELECT agent_id, last_seq FROM runs WHERE tenant_id = $1 AND run_id = $2;

-- entries
-- A page of a journal as it stands, up to where it reached when reading began.
SELECT seq, epoch, kind, at, body FROM journal
WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5;

-- ends_of_agent
-- How lives of an agent ended that wrote to the run, and those between them: what its supervisors
-- recorded. A tenant's own agent only.
SELECT e.event_id, e.at, e.epoch, e.supervisor, e.kind, e.reason, e.detail
FROM supervision_events e
WHERE e.tenant_id = $1 AND e.child = $2::uuid::text AND e.kind = 'ended'
  AND e.epoch >= (SELECT min(j.epoch) FROM journal j
                  WHERE j.tenant_id = $1 AND j.run_id = $3 AND j.epoch > 0)
  AND e.epoch < (SELECT max(j.epoch) FROM journal j WHERE j.tenant_id = $1 AND j.run_id = $3)
ORDER BY e.event_id;
