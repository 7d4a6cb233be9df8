/**
 * This module holds functions that are called in the place of BullMQ's, and the statements that call them. The comments say
 * what BullMQ 6.7 does otherwise.
 */

import { INDEXED } from './event-functions.js';

/** Adds jobs of a queue. */
export const ADD_JOBS = 'SELECT id FROM umbel_add_jobs($1, $2::jsonb) AS t(id)';

/** Statements by BullMQ's name of the command, with the same parameters and results. */
export const REPLACED: Readonly<Record<string, string>> = {
  add_flow: 'SELECT id FROM umbel_add_flow($1::jsonb) AS t(id)',
  add_jobs_bulk: ADD_JOBS,
  extend_locks: 'SELECT id FROM umbel_extend_locks($1, $2, $3, $4, $5) AS t(id)',
  move_stalled_jobs_to_wait: 'SELECT id FROM umbel_recover_stalled($1, $2, $3, $4) AS t(id)',
  clean: 'SELECT id FROM umbel_clean($1, $2, $3, $4) AS t(id)',
  drain: 'SELECT umbel_drain($1, $2)',
  reprocess_job: 'SELECT umbel_requeue($1, $2, $3, $4, $5, $6) AS code',
};

export const REPLACED_FUNCTIONS = `
-- BullMQ creates a sequence for the queue and two temporary tables, which take rights, locks and dead catalog rows, and
-- writes its events one by one. Jobs without ids, which Umbel does not add, are left to it.
CREATE OR REPLACE FUNCTION umbel_add_jobs(p_queue text, p_entries jsonb) RETURNS SETOF text
LANGUAGE plpgsql ${INDEXED} AS $$
DECLARE
  -- The transaction gets its id before it sees how far ids have come, see umbel_publish.
  v_xid bigint := pg_current_xact_id()::text::bigint;
  v_horizon bigint;
  v_trims boolean;
BEGIN
  IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_entries) AS e WHERE COALESCE(e ->> 'id', '') = '') THEN
    RETURN QUERY SELECT * FROM add_jobs_bulk(p_queue, p_entries);
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), hashtext(p_queue)); -- as lock_producer_queues
  v_horizon := GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, v_xid + 1);
  WITH entry AS (
    SELECT value AS j, ord FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS e(value, ord)
  ), place AS (
    SELECT n AS ord, nextval('job_seq') AS seq FROM generate_series(1, jsonb_array_length(p_entries)) AS n
  ), ranked AS (
    SELECT seq, row_number() OVER (ORDER BY seq) AS ord FROM place
  ), inserted AS (
    INSERT INTO job (
      queue, id, seq, name, state, data, opts, priority, delay_ms, max_attempts, added_at_ms, process_at_ms,
      scheduler_id, pending_deps
    )
    SELECT p_queue, j ->> 'id', CASE WHEN (j ->> 'lifo')::boolean THEN -ranked.seq ELSE ranked.seq END, j ->> 'name',
      CASE WHEN (j ->> 'delay')::bigint > 0 THEN 'delayed'::job_state ELSE 'waiting'::job_state END,
      COALESCE((j ->> 'data')::jsonb, '{}'::jsonb), COALESCE(j -> 'opts', '{}'::jsonb),
      COALESCE((j ->> 'priority')::integer, 0), COALESCE((j ->> 'delay')::bigint, 0),
      COALESCE((j ->> 'attempts')::integer, 1), COALESCE((j ->> 'timestamp')::bigint, 0),
      CASE WHEN (j ->> 'delay')::bigint > 0 THEN (j ->> 'timestamp')::bigint + (j ->> 'delay')::bigint END,
      j ->> 'schedulerId', 0
    FROM entry JOIN ranked USING (ord) ORDER BY ord
    ON CONFLICT (queue, id) DO NOTHING
    RETURNING id, seq, name, state, process_at_ms
  ), change AS (
    SELECT abs(seq) AS at, 0 AS part, 'added' AS event, jsonb_build_object('jobId', id, 'name', name) AS data FROM inserted
    UNION ALL
    SELECT abs(seq), 1, state::text, CASE state WHEN 'waiting' THEN jsonb_build_object('jobId', id)
      ELSE jsonb_build_object('jobId', id, 'delay', process_at_ms) END FROM inserted
    UNION ALL
    SELECT seq, 2, 'duplicated', jsonb_build_object('jobId', j ->> 'id') FROM entry JOIN ranked USING (ord)
     WHERE NOT EXISTS (SELECT 1 FROM inserted WHERE abs(inserted.seq) = ranked.seq)
  ), published AS (
    INSERT INTO umbel_event (queue, horizon, id, event, data, created_at_ms)
    SELECT p_queue, v_horizon, nextval('event_seq'), event, data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM (SELECT * FROM change ORDER BY at, part) AS sorted
    RETURNING id
  )
  SELECT bool_or(id % 128 = 0) INTO v_trims FROM published;
  IF v_trims IS NOT NULL THEN
    PERFORM pg_notify('bullmq_jobs', p_queue), pg_notify('bullmq_events', p_queue);
  END IF;
  IF v_trims THEN
    PERFORM umbel_trim_events(p_queue, COALESCE(
      (SELECT value::bigint FROM meta WHERE queue = p_queue AND field = 'opts.maxLenEvents'), 10000));
  END IF;
  RETURN QUERY SELECT value ->> 'id' FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS e(value, ord) ORDER BY ord;
END;
$$;

-- BullMQ's sweep waits for the row of each active job while it holds others, so it deadlocks with commits. A row that is
-- locked belongs to a worker that is alive, and the next sweep looks at it. Renewals of locks may have waited for the table
-- as long as a sweep: they come first.
CREATE OR REPLACE FUNCTION umbel_recover_stalled(
  p_queue text, p_max_stalled integer, p_now bigint, p_interval bigint
) RETURNS SETOF text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_job record;
  v_isfinal boolean;
  v_wakes boolean := false;
  v_since timestamptz := clock_timestamp();
BEGIN
  LOCK TABLE job IN ROW EXCLUSIVE MODE;
  IF clock_timestamp() - v_since > interval '1 second' THEN RETURN; END IF;
  INSERT INTO meta (queue, field, value) VALUES (p_queue, 'stalled-check', p_now::text)
  ON CONFLICT (queue, field) DO UPDATE SET value = EXCLUDED.value WHERE meta.value::bigint + p_interval <= p_now;
  IF NOT FOUND THEN RETURN; END IF;
  WITH marked AS (
    SELECT id FROM job WHERE queue = p_queue AND stalled_marked AND state <> 'active' FOR UPDATE SKIP LOCKED
  )
  UPDATE job SET stalled_marked = false FROM marked WHERE job.queue = p_queue AND job.id = marked.id;
  -- A sweep marks each active job; the next one recovers those whose lock has expired since.
  FOR v_job IN
    SELECT id, stalled_marked, stalled_count, scheduler_id FROM job
     WHERE queue = p_queue AND state = 'active' AND (NOT stalled_marked OR locked_until_ms < p_now)
     FOR UPDATE SKIP LOCKED
  LOOP
    IF NOT v_job.stalled_marked THEN
      UPDATE job SET stalled_marked = true WHERE queue = p_queue AND id = v_job.id;
      CONTINUE;
    END IF;
    v_isfinal := v_job.stalled_count >= p_max_stalled AND NOT EXISTS (
      SELECT 1 FROM scheduler WHERE queue = p_queue AND scheduler_id = v_job.scheduler_id);
    UPDATE job SET state = 'waiting', seq = nextval('job_seq'), lock_token = NULL, locked_until_ms = NULL,
        stalled_marked = false, stalled_count = stalled_count + 1,
        deferred_failure = CASE WHEN v_isfinal THEN 'job stalled more than allowable limit' ELSE deferred_failure END
     WHERE queue = p_queue AND id = v_job.id;
    PERFORM publish_event(p_queue, 'stalled', jsonb_build_object('jobId', v_job.id));
    v_wakes := true;
    RETURN NEXT v_job.id;
  END LOOP;
  IF v_wakes THEN PERFORM pg_notify('bullmq_jobs', p_queue); END IF;
END;
$$;

-- BullMQ leaves the mark of a sweep on a job whose lock is renewed, so that the first sweep after an outage recovers it. On
-- Redis a job has the time between two sweeps to renew its lock.
CREATE OR REPLACE FUNCTION extend_lock(
  p_queue text, p_id text, p_token text, p_lock_ms bigint, p_now bigint
) RETURNS integer
LANGUAGE plpgsql ${INDEXED} AS $$
DECLARE
  v_updated integer;
BEGIN
  UPDATE job SET locked_until_ms = p_now + p_lock_ms, stalled_marked = false
   WHERE queue = p_queue AND id = p_id AND state = 'active' AND lock_token = p_token;
  GET DIAGNOSTICS v_updated = ROW_COUNT;
  RETURN v_updated;
END;
$$;

-- BullMQ's renewal of several locks waits for one row while it holds others, in no order. This one skips rows that are
-- locked, and returns their jobs with those whose lock is lost.
CREATE OR REPLACE FUNCTION umbel_extend_locks(
  p_queue text, p_ids text[], p_tokens text[], p_lock_ms bigint, p_now bigint
) RETURNS SETOF text
LANGUAGE plpgsql ${INDEXED} AS $$
BEGIN
  FOR v_at IN 1 .. cardinality(p_ids) LOOP
    PERFORM 1 FROM job WHERE queue = p_queue AND id = p_ids[v_at] FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      UPDATE job SET locked_until_ms = p_now + p_lock_ms, stalled_marked = false
       WHERE queue = p_queue AND id = p_ids[v_at] AND state = 'active' AND lock_token = p_tokens[v_at];
    END IF;
    IF NOT FOUND THEN RETURN NEXT p_ids[v_at]; END IF;
  END LOOP;
END;
$$;

-- BullMQ also removes jobs of the queue that waited for a removed one, and leaves those above them waiting for ever. On Redis
-- they are released.
CREATE OR REPLACE FUNCTION umbel_drain(p_queue text, p_delayed boolean) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_now bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
  v_above jsonb;
  v record;
BEGIN
  WITH RECURSIVE above (queue, id, parent_queue, parent_id, depth) AS (
    SELECT p.queue, p.id, p.parent_queue, p.parent_id, 1 FROM job
      JOIN job p ON p.queue = job.parent_queue AND p.id = job.parent_id
     WHERE job.queue = p_queue AND job.scheduler_id IS NULL
       AND (job.state = 'waiting' OR (p_delayed AND job.state = 'delayed'))
    UNION
    SELECT p.queue, p.id, p.parent_queue, p.parent_id, depth + 1 FROM above
      JOIN job p ON p.queue = above.parent_queue AND p.id = above.parent_id
     WHERE above.queue = p_queue
  )
  SELECT jsonb_agg(above ORDER BY depth) INTO v_above FROM above WHERE queue = p_queue AND parent_id IS NOT NULL;
  PERFORM drain(p_queue, p_delayed);
  FOR v IN
    SELECT queue, id, parent_queue, parent_id
      FROM jsonb_to_recordset(v_above) AS a (queue text, id text, parent_queue text, parent_id text)
  LOOP
    CONTINUE WHEN EXISTS (SELECT 1 FROM job WHERE queue = v.queue AND id = v.id);
    DELETE FROM job_dependency
     WHERE parent_queue = v.parent_queue AND parent_id = v.parent_id AND child_queue = v.queue AND child_id = v.id;
    UPDATE job SET pending_deps = (SELECT count(*) FROM job_dependency d
        WHERE d.parent_queue = v.parent_queue AND d.parent_id = v.parent_id AND d.status = 'pending')
     WHERE queue = v.parent_queue AND id = v.parent_id AND state = 'waiting-children';
    CONTINUE WHEN NOT EXISTS (SELECT 1 FROM job
       WHERE queue = v.parent_queue AND id = v.parent_id AND state = 'waiting-children' AND pending_deps = 0);
    IF v.parent_queue = p_queue THEN
      DELETE FROM job WHERE queue = v.parent_queue AND id = v.parent_id;
    ELSE
      PERFORM move_parent_to_wait(v.parent_queue, v.parent_id, v_now);
    END IF;
  END LOOP;
END;
$$;

-- BullMQ also forgets the results of removed children that their parents still need.
CREATE OR REPLACE FUNCTION umbel_clean(p_queue text, p_type text, p_ts bigint, p_limit integer) RETURNS SETOF text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_kept job_dependency[];
  v_ids text[];
BEGIN
  SELECT array_agg(d) INTO v_kept FROM job_dependency d
    JOIN job child ON child.queue = d.child_queue AND child.id = d.child_id
    JOIN job parent ON parent.queue = d.parent_queue AND parent.id = d.parent_id
   WHERE d.child_queue = p_queue AND d.status <> 'pending' AND parent.state = 'waiting-children'
     AND child.state::text = p_type AND child.finished_at_ms <= p_ts;
  v_ids := ARRAY(SELECT clean(p_queue, p_type, p_ts, p_limit));
  INSERT INTO job_dependency SELECT d.* FROM unnest(v_kept) AS d
   WHERE d.child_id = ANY (v_ids)
     AND EXISTS (SELECT 1 FROM job WHERE queue = d.parent_queue AND id = d.parent_id)
  ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT unnest(v_ids);
END;
$$;
`;
