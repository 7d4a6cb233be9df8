/**
 * This module holds the functions that run many calls of a worker, or add many jobs, with a few statements on sets of rows.
 * They have the effects, events and errors of BullMQ's functions, which run once for each job. Jobs are found by lists of
 * ids, never by a join: where statistics are old, a join reads all jobs of the queue.
 */

/** The code of a call that only BullMQ's own function can run. */
export const RUN_ALONE = -100;

/** A job with more children reads their results with a statement of its own. */
const MAX_CHILDREN_READ = 20;
/** Maximum number of characters of the results of children of one job. */
const MAX_CHARACTERS_READ = 65_536;

const EVENTS = `
-- Writes events of a queue in their order.
CREATE OR REPLACE FUNCTION umbel_publish_all(p_queue text, p_events text[], p_data jsonb[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  -- The transaction gets its id before it sees how far ids have come, see umbel_publish.
  v_xid bigint := pg_current_xact_id()::text::bigint;
  v_horizon bigint;
  v_trims boolean;
BEGIN
  IF cardinality(p_events) = 0 THEN RETURN; END IF;
  v_horizon := GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, v_xid + 1);
  WITH written AS (
    INSERT INTO umbel_event (queue, horizon, id, event, data, created_at_ms)
    SELECT p_queue, v_horizon, nextval('event_seq'), event, data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM (SELECT * FROM unnest(p_events, p_data) WITH ORDINALITY AS e(event, data, ord) ORDER BY ord) AS sorted
    RETURNING id
  )
  SELECT bool_or(id % 128 = 0) INTO v_trims FROM written;
  PERFORM pg_notify('bullmq_events', p_queue);
  IF v_trims THEN
    PERFORM umbel_trim_events(p_queue, COALESCE(
      (SELECT value::bigint FROM meta WHERE queue = p_queue AND field = 'opts.maxLenEvents'), 10000));
  END IF;
END;
$$;
`;

const CLAIMS = `
-- Claims up to one job for each token, as BullMQ's move_to_active does. A queue with a limit is left to that function.
CREATE OR REPLACE FUNCTION umbel_claim(
  p_queue text, p_tokens text[], p_lock_ms bigint, p_now bigint, p_name text, p_max integer, p_duration bigint
) RETURNS SETOF job
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_ids text[];
  v_job job;
  v_jobs job[];
BEGIN
  IF p_max IS NOT NULL OR EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field IN ('concurrency', 'max')) THEN
    FOR v_at IN 1 .. cardinality(p_tokens) LOOP
      SELECT * INTO v_job FROM move_to_active(p_queue, p_tokens[v_at], p_lock_ms, p_now, p_name, p_max, p_duration);
      EXIT WHEN v_job.id IS NULL;
      RETURN NEXT v_job;
    END LOOP;
    RETURN;
  END IF;
  WITH promoted AS (
    UPDATE job SET state = 'waiting', delay_ms = 0
     WHERE queue = p_queue AND state = 'delayed' AND process_at_ms <= p_now
    RETURNING id, process_at_ms
  )
  SELECT array_agg(id ORDER BY process_at_ms) INTO v_ids FROM promoted;
  IF v_ids IS NOT NULL THEN
    PERFORM umbel_publish_all(p_queue, array_agg('waiting'::text ORDER BY ord),
        array_agg(jsonb_build_object('jobId', id, 'prev', 'delayed') ORDER BY ord))
      FROM unnest(v_ids) WITH ORDINALITY AS t(id, ord);
  END IF;
  IF EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'paused' AND value = '1') THEN RETURN; END IF;
  v_ids := ARRAY(
    SELECT id FROM job WHERE queue = p_queue AND state = 'waiting' ORDER BY priority, seq
     FOR UPDATE SKIP LOCKED LIMIT cardinality(p_tokens)
  );
  WITH claimed AS (
    UPDATE job SET state = 'active', lock_token = p_tokens[array_position(v_ids, id)],
        locked_until_ms = p_now + p_lock_ms, processed_at_ms = p_now, processed_by = p_name,
        attempts_started = attempts_started + 1
     WHERE queue = p_queue AND id = ANY (v_ids)
    RETURNING job
  )
  SELECT array_agg(claimed.job ORDER BY array_position(v_ids, (claimed.job).id)) INTO v_jobs FROM claimed;
  IF v_jobs IS NULL THEN RETURN; END IF;
  PERFORM umbel_publish_all(p_queue, array_agg('active'::text ORDER BY ord),
      array_agg(jsonb_build_object('jobId', id, 'prev', 'waiting') ORDER BY ord))
    FROM (SELECT (v_jobs[ord]).id, ord FROM generate_subscripts(v_jobs, 1) AS ord) AS claimed;
  RETURN QUERY SELECT * FROM unnest(v_jobs);
END;
$$;
`;

const TURNS = `
-- Completes jobs, then claims one for each of the tokens. p_ends has the completions, as objects; p_calls and p_tokens are
-- those of claims without a completion. Returns a row for each call.
CREATE OR REPLACE FUNCTION umbel_turn(
  p_queue text, p_ends jsonb, p_calls integer[], p_tokens text[], p_lock_ms bigint, p_now bigint, p_name text,
  p_max integer, p_duration bigint
) RETURNS TABLE (
  call integer, code integer, job json, results json, is_last boolean, limit_ms bigint, due_at bigint
)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
  v_key integer;
  v_end record;
  v_parent record;
  v_ids text[];
  v_values jsonb[] := '{}';
  v_times bigint[] := '{}';
  v_removed text[] := '{}';
  v_done text[] := '{}';
  v_calls integer[] := '{}';
  v_tokens text[] := '{}';
  v_claimed integer := 0;
  v_limit bigint;
  v_due bigint;
  v_job job;
  v_isfull boolean := false;
BEGIN
  IF jsonb_array_length(p_ends) > 0 THEN
    v_ids := ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(p_ends) AS e);
    -- The locks of move_to_completed, each kind in one order.
    FOR v_key IN
      SELECT DISTINCT hashtext(q) FROM (
        SELECT p_queue AS q UNION ALL SELECT parent_queue FROM job WHERE queue = p_queue AND id = ANY (v_ids)
      ) AS queues WHERE q IS NOT NULL ORDER BY 1
    LOOP
      PERFORM pg_advisory_xact_lock_shared(hashtext('bullmq:finalization'), v_key);
    END LOOP;
    FOR v_key IN
      SELECT DISTINCT hashtext('bullmq:parent:' || parent_queue || ':' || parent_id) FROM job
       WHERE queue = p_queue AND id = ANY (v_ids) AND parent_queue IS NOT NULL AND parent_id IS NOT NULL ORDER BY 1
    LOOP
      PERFORM pg_advisory_xact_lock(v_key);
    END LOOP;
    PERFORM 1 FROM job WHERE queue = p_queue AND id = ANY (v_ids) ORDER BY id FOR UPDATE;
    FOR v_end IN
      SELECT e.*, CASE
          WHEN row_number() OVER (PARTITION BY e.id ORDER BY e.ord) > 1 OR held.dedup_id IS NOT NULL THEN ${RUN_ALONE}
          WHEN held.id IS NULL THEN -1
          WHEN held.state <> 'active' THEN -3
          WHEN e.token <> '0' AND held.lock_token IS DISTINCT FROM e.token THEN -6
          ELSE COALESCE((SELECT max(CASE d.status WHEN 'pending' THEN -4 ELSE -9 END) FROM job_dependency AS d
            WHERE d.parent_queue = p_queue AND d.parent_id = e.id AND d.status IN ('pending', 'failed')), 0)
        END AS result
      FROM ROWS FROM (jsonb_to_recordset(p_ends) AS (
        call integer, id text, token text, value jsonb, at bigint, remove boolean, "isFetching" boolean
      )) WITH ORDINALITY AS e (call, id, token, value, at, remove, fetches, ord)
      LEFT JOIN job AS held ON held.queue = p_queue AND held.id = ANY (v_ids) AND held.id = e.id
      ORDER BY e.ord
    LOOP
      IF v_end.result <> 0 THEN
        RETURN QUERY SELECT v_end.call, v_end.result, NULL::json, NULL::json, false, NULL::bigint, NULL::bigint;
        CONTINUE;
      END IF;
      v_done := v_done || v_end.id;
      v_values := v_values || v_end.value;
      v_times := v_times || v_end.at;
      IF v_end.remove THEN v_removed := v_removed || v_end.id; END IF;
      IF v_end.fetches THEN
        v_calls := v_calls || v_end.call;
        v_tokens := v_tokens || v_end.token;
      ELSE
        RETURN QUERY SELECT v_end.call, 0, NULL::json, NULL::json, false, NULL::bigint, NULL::bigint;
      END IF;
    END LOOP;
  END IF;
  IF cardinality(v_done) > 0 THEN
    UPDATE job SET state = 'completed', return_value = v_values[array_position(v_done, id)],
        finished_at_ms = v_times[array_position(v_done, id)], lock_token = NULL, locked_until_ms = NULL,
        attempts_made = attempts_made + 1
     WHERE queue = p_queue AND id = ANY (v_done);
    PERFORM umbel_publish_all(p_queue, array_agg('completed'::text ORDER BY ord), array_agg(jsonb_build_object(
        'jobId', id, 'returnvalue', COALESCE(value, 'null'::jsonb)::text, 'prev', 'active') ORDER BY ord))
      FROM unnest(v_done, v_values) WITH ORDINALITY AS ended (id, value, ord);
    UPDATE job_dependency AS d SET status = 'processed', value = v_values[array_position(v_done, child.id)]
      FROM job AS child
     WHERE child.queue = p_queue AND child.id = ANY (v_done) AND d.child_queue = p_queue AND d.child_id = ANY (v_done)
       AND d.parent_queue = child.parent_queue AND d.parent_id = child.parent_id
       AND d.child_key = p_queue || ':' || child.id;
    -- One change of a parent for all its children that end here.
    FOR v_parent IN
      SELECT child.parent_queue AS queue, child.parent_id AS id, count(*) AS children,
          max(v_times[array_position(v_done, child.id)]) AS at
        FROM job AS child
       WHERE child.queue = p_queue AND child.id = ANY (v_done)
         AND child.parent_queue IS NOT NULL AND child.parent_id IS NOT NULL
       GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
      UPDATE job SET pending_deps = GREATEST(pending_deps - v_parent.children, 0)
       WHERE queue = v_parent.queue AND id = v_parent.id
      RETURNING pending_deps INTO v_key;
      IF FOUND AND v_key = 0 THEN PERFORM move_parent_to_wait(v_parent.queue, v_parent.id, v_parent.at); END IF;
    END LOOP;
    IF cardinality(v_removed) > 0 THEN DELETE FROM job WHERE queue = p_queue AND id = ANY (v_removed); END IF;
    IF NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'active')
      AND (NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting')
        OR EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'paused' AND value = '1')) THEN
      PERFORM publish_event(p_queue, 'drained', '{}'::jsonb);
    END IF;
  END IF;
  v_calls := v_calls || p_calls;
  v_tokens := v_tokens || p_tokens;
  IF cardinality(v_calls) = 0 THEN RETURN; END IF;
  v_isfull := EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'concurrency');
  FOR v_job IN SELECT * FROM umbel_claim(p_queue, v_tokens, p_lock_ms, p_now, p_name, p_max, p_duration) LOOP
    v_claimed := v_claimed + 1;
    call := v_calls[v_claimed];
    code := 0;
    job := row_to_json(v_job);
    results := NULL;
    is_last := false;
    -- The results of the children that the job waited for.
    SELECT json_agg(part ORDER BY at) INTO results FROM (
      SELECT part, at FROM (
        SELECT child_key, value::text AS text, row_number() OVER (ORDER BY child_id) AS n, count(*) OVER () AS count,
            sum(length(value::text)) OVER () AS size
          FROM (SELECT child_key, child_id, value FROM job_dependency
            WHERE parent_queue = p_queue AND parent_id = v_job.id AND status = 'processed'
            LIMIT ${MAX_CHILDREN_READ + 1}) AS few
      ) AS child, LATERAL (VALUES (child_key, 2 * n), (text, 2 * n + 1)) AS pair (part, at)
      WHERE count <= ${MAX_CHILDREN_READ} AND size <= ${MAX_CHARACTERS_READ}
    ) AS parts;
    IF v_claimed = cardinality(v_calls) AND NOT v_isfull
      AND NOT EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting') THEN
      is_last := true;
    END IF;
    RETURN NEXT;
  END LOOP;
  IF v_claimed = cardinality(v_calls) THEN RETURN; END IF;
  SELECT rate_limit_ttl, next_delay INTO v_limit, v_due FROM next_signal(p_queue, p_max, p_now);
  RETURN QUERY SELECT open.call, 0, NULL::json, NULL::json, false, v_limit, v_due
    FROM unnest(v_calls) WITH ORDINALITY AS open (call, at) WHERE open.at > v_claimed;
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
export const BATCH_FUNCTIONS: string = `${EVENTS}${CLAIMS}${TURNS}${FLOWS}`;
