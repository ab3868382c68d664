-- unfinished
-- A page of unfinished runs, oldest first, or one run whether finished or not, with what decides
-- whether it gets a process. `ahead`: runs of its agent that need one too and go first.
SELECT page.*, a.name AS agent_name, a.profile, clock_timestamp() AS now,
       coalesce(v.state, 'passive') AS agent_state, coalesce(v.epoch, 0) AS agent_epoch,
       v.quarantined_until,
       (SELECT count(*) FROM runs q
        WHERE q.agent_id = page.agent_id AND q.finished_at IS NULL AND q.wake_at <= now()
          AND (q.priority, page.run_id) > (page.priority, q.run_id)) AS ahead,
       (SELECT s.reason FROM stops s WHERE s.lifted_at IS NULL
        AND (s.tenant_id IS NULL OR s.tenant_id = $1) LIMIT 1) AS stopped
FROM (SELECT run_id, agent_id, tenant_id, status, code, priority, wake_at, waits_for, messages,
             heard, epoch, progress_epoch
      FROM runs
      WHERE tenant_id = $1 AND ($2::uuid IS NULL OR run_id = $2)
        AND ($2::uuid IS NOT NULL OR finished_at IS NULL) AND ($3::uuid IS NULL OR run_id > $3)
      ORDER BY run_id LIMIT $4) page
JOIN agents a USING (agent_id) LEFT JOIN activations v USING (agent_id)
ORDER BY page.run_id;
