/**
 * This module holds the functions that run many calls of a worker, or add many jobs, in one statement and one commit. They
 * have the effects, events and errors of BullMQ's functions, which run once for each job. A turn finds each job by its whole
 * key, and not by a list of ids or a join: where statistics are old or missing, a plan for these reads all jobs of the queue.
 */

import { INDEXED } from '../event-functions.js';

/** The code of a call that only BullMQ's own function can run. */
export const RUN_ALONE = -100;

/** A job with more children reads their results with a statement of its own. */
const MAX_CHILDREN_READ = 20;
/** Maximum number of characters of the results of children of one job. */
const MAX_CHARACTERS_READ = 65_536;

/**
 * Completes the jobs of p_ends in a turn, as BullMQ's move_to_completed does. Sets v_done, and adds those that also fetch a
 * job to v_calls and v_tokens.
 */
const ENDS = `
    v_ids := ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ends) AS e ORDER BY 1);
    -- The locks of move_to_completed, each kind in one order.
    PERFORM CASE kind WHEN 1 THEN pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), key)
        ELSE pg_advisory_xact_lock(key) END
      FROM (
        SELECT DISTINCT kind, key FROM unnest(v_ids) AS t (id)
         CROSS JOIN LATERAL (SELECT parent_queue, parent_id FROM job WHERE queue = p_queue AND id = t.id OFFSET 0) AS child
         CROSS JOIN LATERAL (VALUES (1, hashtext(p_queue)), (1, hashtext(child.parent_queue)),
           (2, hashtext('bullmq:parent:' || child.parent_queue || ':' || child.parent_id))) AS k (kind, key)
         WHERE key IS NOT NULL ORDER BY 1, 2
      ) AS locks;
    FOR v_at IN 1 .. CASE cardinality(v_ids) WHEN 1 THEN 0 ELSE cardinality(v_ids) END LOOP
      PERFORM 1 FROM job WHERE queue = p_queue AND id = v_ids[v_at] FOR UPDATE;
    END LOOP;
    v_ids := '{}';
    FOR v_end IN
      SELECT * FROM ROWS FROM (jsonb_to_recordset(p_ends) AS (
        call integer, id text, token text, value jsonb, at bigint, remove boolean, "isFetching" boolean
      )) WITH ORDINALITY AS e (call, id, token, value, at, remove, fetches, ord) ORDER BY ord
    LOOP
      SELECT * INTO v_job FROM job WHERE queue = p_queue AND id = v_end.id FOR UPDATE;
      code := CASE
          WHEN v_end.id = ANY (v_ids) OR v_job.dedup_id IS NOT NULL THEN ${RUN_ALONE}
          WHEN v_job.id IS NULL THEN -1
          WHEN v_job.state <> 'active' THEN -3
          WHEN v_end.token <> '0' AND v_job.lock_token IS DISTINCT FROM v_end.token THEN -6
          ELSE COALESCE((SELECT max(CASE status WHEN 'pending' THEN -4 ELSE -9 END) FROM job_dependency
            WHERE parent_queue = p_queue AND parent_id = v_end.id AND status IN ('pending', 'failed')), 0)
        END;
      v_ids := v_ids || v_end.id;
      IF code = 0 THEN
        UPDATE job SET state = 'completed', return_value = v_end.value, finished_at_ms = v_end.at, lock_token = NULL,
            locked_until_ms = NULL, attempts_made = attempts_made + 1
         WHERE queue = p_queue AND id = v_end.id;
        v_done := v_done || v_end.id;
        v_events := v_events || 'completed'::text;
        v_data := v_data || jsonb_build_object('jobId', v_end.id, 'returnvalue',
          COALESCE(v_end.value, 'null'::jsonb)::text, 'prev', 'active');
        IF v_job.parent_queue IS NOT NULL AND v_job.parent_id IS NOT NULL THEN
          UPDATE job_dependency SET status = 'processed', value = v_end.value
           WHERE parent_queue = v_job.parent_queue AND parent_id = v_job.parent_id AND child_key = p_queue || ':' || v_end.id;
          v_parent_queues := v_parent_queues || v_job.parent_queue;
          v_parent_ids := v_parent_ids || v_job.parent_id;
          v_times := v_times || v_end.at;
        END IF;
        IF v_end.remove THEN v_removed := v_removed || v_end.id; END IF;
        IF v_end.fetches THEN
          v_calls := v_calls || v_end.call;
          v_tokens := v_tokens || v_end.token;
          CONTINUE;
        END IF;
      END IF;
      call := v_end.call;
      RETURN NEXT;
    END LOOP;
`;

/** Changes what depends on the completed jobs. */
const ENDED = `
    PERFORM umbel_notice(p_queue, v_done);
    -- One change of a parent for all its children that end here.
    FOR v_parent IN
      SELECT parent.queue, parent.id, count(*) AS children, max(at) AS at
        FROM unnest(v_parent_queues, v_parent_ids, v_times) AS parent (queue, id, at) GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
      SELECT * INTO v_job FROM job WHERE queue = v_parent.queue AND id = v_parent.id FOR UPDATE;
      CONTINUE WHEN NOT FOUND;
      IF v_job.state <> 'waiting-children' OR v_job.pending_deps > v_parent.children THEN
        UPDATE job SET pending_deps = GREATEST(pending_deps - v_parent.children, 0)
         WHERE queue = v_parent.queue AND id = v_parent.id;
        CONTINUE;
      END IF;
      -- As move_parent_to_wait, with one change of the row.
      v_due := CASE WHEN v_job.delay_ms > 0 THEN v_parent.at + v_job.delay_ms END;
      UPDATE job SET pending_deps = 0, seq = nextval('job_seq'), process_at_ms = COALESCE(v_due, process_at_ms),
          state = CASE WHEN v_due IS NULL THEN 'waiting'::job_state ELSE 'delayed'::job_state END
       WHERE queue = v_parent.queue AND id = v_parent.id;
      PERFORM pg_notify('bullmq_jobs', v_parent.queue);
      v_event := CASE WHEN v_due IS NULL THEN 'waiting' ELSE 'delayed' END;
      v_fields := CASE WHEN v_due IS NULL THEN jsonb_build_object('jobId', v_parent.id, 'prev', 'waiting-children')
        ELSE jsonb_build_object('jobId', v_parent.id, 'delay', v_due) END;
      IF v_parent.queue = p_queue THEN
        v_events := v_events || v_event;
        v_data := v_data || v_fields;
      ELSE
        PERFORM publish_event(v_parent.queue, v_event, v_fields);
      END IF;
    END LOOP;
    FOR v_at IN 1 .. cardinality(v_removed) LOOP
      DELETE FROM job WHERE queue = p_queue AND id = v_removed[v_at];
    END LOOP;
`;

/** Claims jobs as BullMQ's move_to_active does. A queue with a limit is left to that function. Sets v_ids and v_claimed. */
const CLAIMS = `
  v_ids := '{}';
  IF v_islimited THEN
    PERFORM umbel_publish_all(p_queue, v_events, v_data);
    v_events := '{}';
    v_data := '{}';
    FOR v_at IN 1 .. cardinality(v_tokens) LOOP
      SELECT * INTO v_job FROM move_to_active(p_queue, v_tokens[v_at], p_lock_ms, p_now, p_name, p_max, p_duration);
      EXIT WHEN v_job.id IS NULL;
      v_ids := v_ids || v_job.id;
      v_claimed := v_claimed || row_to_json(v_job);
    END LOOP;
  ELSIF cardinality(v_tokens) > 0 THEN
    FOR v_end IN
      -- A turn holds locks, so it waits for no job here: two that wait for each other would be a deadlock.
      WITH due AS (
        SELECT id FROM job WHERE queue = p_queue AND state = 'delayed' AND process_at_ms <= p_now FOR UPDATE SKIP LOCKED
      ), promoted AS (
        UPDATE job SET state = 'waiting', delay_ms = 0 FROM due WHERE queue = p_queue AND job.id = due.id
        RETURNING job.id, process_at_ms
      )
      SELECT id FROM promoted ORDER BY process_at_ms
    LOOP
      v_events := v_events || 'waiting'::text;
      v_data := v_data || jsonb_build_object('jobId', v_end.id, 'prev', 'delayed');
    END LOOP;
    IF NOT v_ispaused THEN
      v_ids := ARRAY(
        SELECT id FROM job WHERE queue = p_queue AND state = 'waiting' ORDER BY priority, seq
         FOR UPDATE SKIP LOCKED LIMIT cardinality(v_tokens)
      );
    END IF;
    -- A claim may have waited for other transactions, and find a job that was added after it was sent.
    FOR v_at IN 1 .. cardinality(v_ids) LOOP
      UPDATE job SET state = 'active', lock_token = v_tokens[v_at],
          locked_until_ms = GREATEST(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) + p_lock_ms,
          processed_at_ms = GREATEST(p_now, LEAST(added_at_ms, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)),
          processed_by = p_name, attempts_started = attempts_started + 1
       WHERE queue = p_queue AND id = v_ids[v_at]
      RETURNING * INTO v_job;
      v_claimed := v_claimed || row_to_json(v_job);
      v_events := v_events || 'active'::text;
      v_data := v_data || jsonb_build_object('jobId', v_job.id, 'prev', 'waiting');
    END LOOP;
  END IF;
  PERFORM umbel_publish_all(p_queue, v_events, v_data);
`;

const TURNS = `
-- Completes jobs, then claims one for each of the tokens. p_ends has the completions, as objects; p_calls and p_tokens are
-- those of claims without a completion. Returns a row for each call. is_last: no other job waits in the queue.
CREATE OR REPLACE FUNCTION umbel_turn(
  p_queue text, p_ends jsonb, p_calls integer[], p_tokens text[], p_lock_ms bigint, p_now bigint, p_name text,
  p_max integer, p_duration bigint
) RETURNS TABLE (
  call integer, code integer, job json, results json, is_last boolean, limit_ms bigint, due_at bigint
)
LANGUAGE plpgsql ${INDEXED} AS $$
#variable_conflict use_column
DECLARE
  v_end record;
  v_parent record;
  v_job job;
  v_ids text[] := '{}';
  v_done text[] := '{}';
  v_removed text[] := '{}';
  v_parent_queues text[] := '{}';
  v_parent_ids text[] := '{}';
  v_times bigint[] := '{}';
  v_calls integer[] := '{}';
  v_tokens text[] := '{}';
  v_events text[] := '{}';
  v_data jsonb[] := '{}';
  v_claimed json[] := '{}';
  v_event text;
  v_fields jsonb;
  v_ispaused boolean;
  v_islimited boolean;
  v_isidle boolean;
  v_due bigint;
BEGIN
  is_last := false;
  IF jsonb_array_length(p_ends) > 0 THEN
    ${ENDS.trim()}
  END IF;
  SELECT COALESCE(bool_or(field = 'paused' AND value = '1'), false), COALESCE(bool_or(field <> 'paused'), false)
    INTO v_ispaused, v_islimited FROM meta WHERE queue = p_queue AND field IN ('paused', 'concurrency', 'max');
  v_islimited := v_islimited OR p_max IS NOT NULL;
  IF cardinality(v_done) > 0 THEN
    ${ENDED.trim()}
    IF NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'active')
      AND (v_ispaused OR NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting')) THEN
      v_events := v_events || 'drained'::text;
      v_data := v_data || '{}'::jsonb;
    END IF;
  END IF;
  v_calls := v_calls || p_calls;
  v_tokens := v_tokens || p_tokens;
  ${CLAIMS.trim()}
  IF cardinality(v_calls) = 0 THEN RETURN; END IF;
  -- A worker that got less than it asked for, or the last job, waits: for the next delayed job, or a limit.
  v_isidle := NOT v_islimited AND NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting');
  v_due := NULL;
  IF v_isidle OR cardinality(v_ids) < cardinality(v_calls) THEN
    SELECT process_at_ms INTO v_due FROM job
     WHERE queue = p_queue AND state = 'delayed' AND process_at_ms IS NOT NULL ORDER BY process_at_ms LIMIT 1;
  END IF;
  code := 0;
  FOR v_at IN 1 .. cardinality(v_ids) LOOP
    call := v_calls[v_at];
    job := v_claimed[v_at];
    results := NULL;
    is_last := v_isidle AND v_at = cardinality(v_calls);
    due_at := CASE WHEN is_last THEN v_due END;
    -- The results of the children that the job waited for.
    IF EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = p_queue AND parent_id = v_ids[v_at]) THEN
      SELECT json_agg(part ORDER BY at) INTO results FROM (
        SELECT part, at FROM (
          SELECT child_key, value::text AS text, row_number() OVER (ORDER BY child_id) AS n, count(*) OVER () AS count,
              sum(length(value::text)) OVER () AS size
            FROM (SELECT child_key, child_id, value FROM job_dependency
              WHERE parent_queue = p_queue AND parent_id = v_ids[v_at] AND status = 'processed'
              LIMIT ${MAX_CHILDREN_READ + 1}) AS few
        ) AS child, LATERAL (VALUES (child_key, 2 * n), (text, 2 * n + 1)) AS pair (part, at)
        WHERE count <= ${MAX_CHILDREN_READ} AND size <= ${MAX_CHARACTERS_READ}
      ) AS parts;
    END IF;
    RETURN NEXT;
  END LOOP;
  IF cardinality(v_ids) = cardinality(v_calls) THEN RETURN; END IF;
  job := NULL;
  results := NULL;
  is_last := v_isidle;
  limit_ms := CASE WHEN v_islimited THEN rate_limit_effective(p_queue, p_max, p_now) ELSE 0 END;
  due_at := v_due;
  FOR v_at IN cardinality(v_ids) + 1 .. cardinality(v_calls) LOOP
    call := v_calls[v_at];
    RETURN NEXT;
  END LOOP;
END;
$$;
`;

const FLOWS = `
-- Adds the jobs of a flow. BullMQ changes the parent once for each child, which takes time with the square of their number.
-- A flow with jobs that are there already, or that need a new id or a deduplication, is left to BullMQ.
CREATE OR REPLACE FUNCTION umbel_add_flow(p_entries jsonb) RETURNS SETOF text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_xid bigint := pg_current_xact_id()::text::bigint;
  v_horizon bigint;
  v_isnew boolean;
  v_queue text;
  v_parent record;
BEGIN
  PERFORM lock_producer_queues(p_entries);
  WITH entry AS MATERIALIZED (
    SELECT e, ord, e ->> 'queue' AS queue, e ->> 'id' AS id, e ->> 'parentQueue' AS parent_queue, e ->> 'parentId' AS parent_id
      FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS t (e, ord)
  ), place AS MATERIALIZED (
    SELECT queue, id, min(ord) AS ord, count(*) AS count FROM entry GROUP BY queue, id
  )
  SELECT bool_and(COALESCE(entry.id, '') <> '' AND COALESCE(e ->> 'dedupId', '') = '' AND place.count = 1 AND found.id IS NULL
      AND (entry.parent_id IS NULL OR entry.parent_queue IS NULL OR COALESCE(above.ord < entry.ord, EXISTS (
        SELECT 1 FROM job WHERE queue = entry.parent_queue AND id = entry.parent_id))))
    INTO v_isnew
    FROM entry LEFT JOIN place ON place.queue = entry.queue AND place.id = entry.id
    LEFT JOIN place AS above ON above.queue = entry.parent_queue AND above.id = entry.parent_id
    LEFT JOIN job AS found ON found.queue = entry.queue AND found.id = entry.id;
  IF v_isnew THEN
    BEGIN
      WITH entry AS (
        SELECT e, ord FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS t (e, ord)
      ), place AS (
        SELECT nextval('job_seq') AS seq FROM generate_series(1, jsonb_array_length(p_entries))
      ), ranked AS (
        SELECT seq, row_number() OVER (ORDER BY seq) AS ord FROM place
      ), children AS (
        SELECT e ->> 'parentQueue' AS queue, e ->> 'parentId' AS id, count(*) AS count FROM entry
         WHERE e ->> 'parentQueue' IS NOT NULL AND e ->> 'parentId' IS NOT NULL GROUP BY 1, 2
      )
      INSERT INTO job (
        queue, id, seq, name, state, data, opts, priority, delay_ms, max_attempts, added_at_ms, process_at_ms,
        scheduler_id, parent_queue, parent_id, parent_key, pending_deps
      )
      SELECT e ->> 'queue', e ->> 'id', CASE WHEN (e ->> 'lifo')::boolean THEN -seq ELSE seq END, e ->> 'name',
        CASE WHEN (e ->> 'addToWaitingChildren')::boolean THEN 'waiting-children'::job_state
          WHEN (e ->> 'delay')::bigint > 0 THEN 'delayed'::job_state ELSE 'waiting'::job_state END,
        COALESCE((e ->> 'data')::jsonb, '{}'::jsonb), COALESCE(e -> 'opts', '{}'::jsonb),
        COALESCE((e ->> 'priority')::integer, 0), COALESCE((e ->> 'delay')::bigint, 0),
        COALESCE((e ->> 'attempts')::integer, 1), COALESCE((e ->> 'timestamp')::bigint, 0),
        CASE WHEN (e ->> 'delay')::bigint > 0 AND (e ->> 'addToWaitingChildren')::boolean IS NOT TRUE
          THEN COALESCE((e ->> 'timestamp')::bigint, 0) + (e ->> 'delay')::bigint END,
        e ->> 'schedulerId', e ->> 'parentQueue', e ->> 'parentId', e ->> 'parentKey', COALESCE(children.count, 0)
      FROM entry JOIN ranked USING (ord)
      LEFT JOIN children ON children.queue = e ->> 'queue' AND children.id = e ->> 'id'
      ORDER BY ord;
    EXCEPTION WHEN unique_violation THEN
      v_isnew := false;
    END;
  END IF;
  IF NOT v_isnew THEN
    RETURN QUERY SELECT * FROM add_flow_unlocked(p_entries);
    RETURN;
  END IF;
  INSERT INTO job_dependency (parent_queue, parent_id, child_queue, child_id, child_key, status)
    SELECT e ->> 'parentQueue', e ->> 'parentId', e ->> 'queue', e ->> 'id', (e ->> 'queue') || ':' || (e ->> 'id'), 'pending'
      FROM jsonb_array_elements(p_entries) AS t (e)
     WHERE e ->> 'parentQueue' IS NOT NULL AND e ->> 'parentId' IS NOT NULL
    ON CONFLICT (parent_queue, parent_id, child_key) DO NOTHING;
  FOR v_parent IN
    WITH entry AS MATERIALIZED (
      SELECT e ->> 'queue' AS queue, e ->> 'id' AS id, e ->> 'parentQueue' AS parent_queue, e ->> 'parentId' AS parent_id
        FROM jsonb_array_elements(p_entries) AS t (e)
    )
    SELECT entry.parent_queue AS queue, entry.parent_id AS id, count(*) AS children FROM entry
      LEFT JOIN entry AS above ON above.queue = entry.parent_queue AND above.id = entry.parent_id
     WHERE entry.parent_queue IS NOT NULL AND entry.parent_id IS NOT NULL AND above.id IS NULL
     GROUP BY 1, 2 ORDER BY 1, 2
  LOOP
    UPDATE job SET pending_deps = pending_deps + v_parent.children WHERE queue = v_parent.queue AND id = v_parent.id;
  END LOOP;
  v_horizon := GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, v_xid + 1);
  INSERT INTO umbel_event (queue, horizon, id, event, data, created_at_ms)
    SELECT queue, v_horizon, nextval('event_seq'), event, data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
      FROM (
        SELECT e ->> 'queue' AS queue, change.event, change.data FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS t (e, ord)
          JOIN job ON job.queue = e ->> 'queue' AND job.id = e ->> 'id',
          LATERAL (VALUES (0, 'added', jsonb_build_object('jobId', job.id, 'name', job.name)),
            (1, job.state::text, CASE job.state WHEN 'delayed' THEN jsonb_build_object('jobId', job.id, 'delay', job.process_at_ms)
              ELSE jsonb_build_object('jobId', job.id) END)) AS change (part, event, data)
         ORDER BY ord, part
      ) AS sorted;
  FOR v_queue IN SELECT DISTINCT e ->> 'queue' FROM jsonb_array_elements(p_entries) AS t (e) LOOP
    PERFORM pg_notify('bullmq_events', v_queue);
    PERFORM umbel_trim_events(v_queue, COALESCE(
      (SELECT value::bigint FROM meta WHERE queue = v_queue AND field = 'opts.maxLenEvents'), 10000));
  END LOOP;
  FOR v_queue IN
    SELECT DISTINCT e ->> 'queue' FROM jsonb_array_elements(p_entries) AS t (e)
     WHERE (e ->> 'addToWaitingChildren')::boolean IS NOT TRUE
  LOOP
    PERFORM pg_notify('bullmq_jobs', v_queue);
  END LOOP;
  RETURN QUERY SELECT e ->> 'id' FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS t (e, ord) ORDER BY ord;
END;
$$;
`;

/** All functions of this module. They use those of `migration-sql.ts`. */
export const BATCH_FUNCTIONS: string = `${TURNS}${FLOWS}`;
