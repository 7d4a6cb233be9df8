/**
 * This module holds the tables and functions that Umbel adds to those of BullMQ, in the same schema. Each statement may run
 * again, also after an update of BullMQ has replaced one of its own functions.
 */
import { BATCH_FUNCTIONS } from './batching/batch-functions.js';
import { ENDED_JOB_FUNCTIONS } from './ended-jobs.js';
import { EVENT_FUNCTIONS, INDEXED } from './event-functions.js';
import { HISTORY_OBJECTS } from './history.js';
import { COUNT_FUNCTION } from './lists.js';
import { LOOK_FUNCTION } from './looks.js';
import { PURGE_FUNCTIONS } from './purge.js';
import { REPLACED_FUNCTIONS } from './replaced-functions.js';
import { RUN_TREE_FUNCTION } from './run-trees.js';
import { SIGNAL_OBJECTS } from './signals.js';
import { TAG_FUNCTIONS } from './tags.js';

/** Version of these objects. Increase it with every change: older versions refuse a newer one. */
export const SCHEMA_VERSION = 7;

export const LEDGER = `CREATE TABLE IF NOT EXISTS umbel_migration (
  version integer NOT NULL,
  bullmq_version integer NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (version, bullmq_version)
)`;

const JOBS = `
CREATE INDEX IF NOT EXISTS umbel_job_ended_idx ON job (queue, state, finished_at_ms, id COLLATE "C")
  WHERE state IN ('completed', 'failed');

-- BullMQ 6.7 counts the lines of a log without a lock, so two writers take the same number.
CREATE OR REPLACE FUNCTION umbel_add_log(p_queue text, p_id text, p_row text, p_keep bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('umbel:log'), hashtext(p_queue || ':' || p_id));
  INSERT INTO job_log (queue, job_id, idx, row)
  SELECT p_queue, p_id, COALESCE(max(idx) + 1, 0), p_row FROM job_log WHERE queue = p_queue AND job_id = p_id;
  IF p_keep IS NOT NULL THEN
    DELETE FROM job_log WHERE queue = p_queue AND job_id = p_id AND idx <= (
      SELECT max(idx) - p_keep FROM job_log WHERE queue = p_queue AND job_id = p_id);
  END IF;
  SELECT count(*) INTO v_count FROM job_log WHERE queue = p_queue AND job_id = p_id;
  RETURN v_count;
END;
$$;

-- BullMQ 6.7 does not let the parent wait again for a retried child whose failure did not fail the parent.
CREATE OR REPLACE FUNCTION umbel_requeue(
  p_queue text, p_id text, p_state text, p_lifo boolean, p_reset_made boolean, p_reset_started boolean
) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF p_state = 'failed' THEN
    UPDATE job_dependency d SET status = 'failed' FROM job j
     WHERE j.queue = p_queue AND j.id = p_id AND j.state = 'failed' AND d.parent_queue = j.parent_queue
       AND d.parent_id = j.parent_id AND d.child_key = p_queue || ':' || p_id AND d.status = 'ignored';
  END IF;
  RETURN reprocess_job(p_queue, p_id, p_state, p_lifo, p_reset_made, p_reset_started);
END;
$$;

CREATE OR REPLACE FUNCTION umbel_remove(p_queue text, p_id text, p_children boolean) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_state text;
  v_count integer;
BEGIN
  SELECT state::text INTO v_state FROM job WHERE queue = p_queue AND id = p_id;
  v_count := remove(p_queue, p_id, p_children);
  IF v_count > 0 THEN
    PERFORM publish_event(p_queue, 'removed', jsonb_build_object('jobId', p_id, 'prev', v_state));
  END IF;
  RETURN v_count;
END;
$$;

-- Whether a worker may take a job now, and when the next one is due. A queue at a limit has none for the moment.
CREATE OR REPLACE FUNCTION umbel_signal(p_queue text, p_max integer, p_now bigint)
RETURNS TABLE (is_ready boolean, due_at bigint)
LANGUAGE plpgsql STABLE ${INDEXED} AS $$
DECLARE
  v_concurrency integer;
BEGIN
  due_at := next_delay(p_queue);
  is_ready := EXISTS (SELECT 1 FROM job WHERE queue = p_queue AND state = 'waiting')
    AND NOT EXISTS (SELECT 1 FROM meta WHERE queue = p_queue AND field = 'paused' AND value = '1')
    AND rate_limit_effective(p_queue, p_max, p_now) <= 0;
  IF is_ready THEN
    SELECT value::integer INTO v_concurrency FROM meta WHERE queue = p_queue AND field = 'concurrency';
    is_ready := v_concurrency IS NULL OR v_concurrency > (
      SELECT count(*) FROM job WHERE queue = p_queue AND state = 'active');
  END IF;
  RETURN NEXT;
END;
$$;
`;

const TAGS = `
CREATE TABLE IF NOT EXISTS umbel_tag (
  index_queue text NOT NULL,
  tag text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  queue text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  PRIMARY KEY (index_queue, tag, at, queue, id)
);
CREATE TABLE IF NOT EXISTS umbel_tag_note (
  index_queue text NOT NULL,
  at bigint NOT NULL,
  queue text NOT NULL,
  id text NOT NULL,
  tags text[] NOT NULL,
  check_at bigint NOT NULL,
  PRIMARY KEY (index_queue, queue, id, at, tags)
);
CREATE INDEX IF NOT EXISTS umbel_tag_note_due_idx ON umbel_tag_note (index_queue, check_at);
`;

const LIMITS = `
-- An open rate window continues under a new limit: it keeps its start and its count, and gets the new length.
CREATE OR REPLACE FUNCTION umbel_set_limits(
  p_queue text, p_concurrency text, p_max text, p_duration bigint, p_now bigint
) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_before bigint;
BEGIN
  IF p_concurrency = 'none' THEN
    DELETE FROM meta WHERE queue = p_queue AND field = 'concurrency';
  ELSIF p_concurrency <> '' THEN
    INSERT INTO meta (queue, field, value) VALUES (p_queue, 'concurrency', p_concurrency)
    ON CONFLICT (queue, field) DO UPDATE SET value = EXCLUDED.value;
  END IF;
  IF p_max = 'none' THEN
    DELETE FROM meta WHERE queue = p_queue AND field IN ('max', 'duration');
    -- A window that a worker has closed for a time has the maximum count; it stays.
    DELETE FROM rate_limit WHERE queue = p_queue AND points < 9007199254740991;
  ELSIF p_max <> '' THEN
    SELECT value::bigint INTO v_before FROM meta WHERE queue = p_queue AND field = 'duration';
    INSERT INTO meta (queue, field, value) VALUES (p_queue, 'max', p_max), (p_queue, 'duration', p_duration::text)
    ON CONFLICT (queue, field) DO UPDATE SET value = EXCLUDED.value;
    UPDATE rate_limit SET expire_at_ms = CASE WHEN v_before IS NULL THEN 0 ELSE expire_at_ms - v_before + p_duration END
     WHERE queue = p_queue AND expire_at_ms > p_now AND points < 9007199254740991;
  END IF;
  PERFORM pg_notify('bullmq_jobs', p_queue);
END;
$$;
`;

/** All statements, in their order. */
export const OBJECTS = `${EVENT_FUNCTIONS}${JOBS}${LOOK_FUNCTION}${COUNT_FUNCTION}${RUN_TREE_FUNCTION}${TAGS}${LIMITS}${TAG_FUNCTIONS}${ENDED_JOB_FUNCTIONS}${PURGE_FUNCTIONS}${SIGNAL_OBJECTS}${HISTORY_OBJECTS}${REPLACED_FUNCTIONS}${BATCH_FUNCTIONS}`;
