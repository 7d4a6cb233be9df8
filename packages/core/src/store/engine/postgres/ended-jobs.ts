/** This module finds ended jobs in SQL and removes them with all jobs below them. */
import type {
  ChildResults,
  EndedJob,
  EndedJobs,
  TreeState,
  UnendedJobs,
} from '../../primitives/ended-jobs.js';
import type { SqlBackend } from './backend.js';

/** Maximum number of jobs of a tree that one statement removes. */
const TREE = 500;
/** Number of children that one statement reads. */
const CHILDREN = 500;

export function sqlEndedJobs(backend: SqlBackend): EndedJobs {
  const { qualifiedName } = backend;
  return {
    async endedJobs(set, { from, skip, until, limit }) {
      const { rows } = await backend.query(
        `SELECT job.id, job.finished_at_ms AS at, job.opts::text AS options,
            CASE WHEN job.parent_id IS NULL THEN 'none' WHEN EXISTS (SELECT 1 FROM job AS parent
              WHERE parent.queue = job.parent_queue AND parent.id = job.parent_id) THEN 'there' ELSE 'gone' END AS parent
          FROM job WHERE queue = $1 AND state = $2::job_state AND finished_at_ms >= $3::numeric
            AND finished_at_ms <= $4::numeric
          ORDER BY finished_at_ms, id COLLATE "C" OFFSET $5 LIMIT $6`,
        [qualifiedName, set, from, until, skip, limit],
      );
      return rows.map(
        ({ id, at, options, parent }): EndedJob => ({ id, endedAt: Number(at), options, parent }),
      );
    },
    async removeTrees(ids, { mode, until, isForgotten = false }) {
      const { rows } = await backend.query('SELECT umbel_remove_trees($1, $2, $3, $4, $5, $6) AS states', [
        qualifiedName,
        ids,
        mode,
        Math.min(until, Number.MAX_SAFE_INTEGER),
        isForgotten,
        TREE,
      ]);
      return (rows[0].states as (TreeState | { state: 'ended' | 'open' })[]).map((state) =>
        typeof state === 'object' && 'state' in state ? state.state : state,
      );
    },
    async childKeys(id, page = '') {
      const { rows } = await backend.query(
        `SELECT child_key AS key FROM job_dependency WHERE parent_queue = $1 AND parent_id = $2
          AND child_key COLLATE "C" > $3 ORDER BY child_key COLLATE "C" LIMIT $4`,
        [qualifiedName, id, page, CHILDREN],
      );
      const keys = rows.map(({ key }) => key as string);
      const last = keys.at(-1);
      return { keys, ...(keys.length === CHILDREN && last !== undefined && { next: last }) };
    },
  };
}

export function sqlChildResults(backend: SqlBackend): ChildResults {
  return {
    async removeChildResults(jobId, childKeys) {
      await backend.query(
        `DELETE FROM job_dependency WHERE parent_queue = $1 AND parent_id = $2 AND child_key = ANY ($3::text[])
          AND status <> 'pending'`,
        [backend.qualifiedName, jobId, childKeys],
      );
    },
  };
}

export function sqlUnendedJobs(backend: SqlBackend): UnendedJobs {
  return {
    async removeUnended(keys) {
      const places = keys.map((key) => backend.parseNodeKey(key));
      await backend.query('SELECT umbel_remove_unended($1, $2)', [
        places.map(({ prefix, queueName }) => `${prefix}:${queueName}`),
        places.map(({ id }) => id),
      ]);
    },
  };
}

/**
 * Functions of this module. A tree of more jobs than the limit is returned as a part, like one with an unended job that is
 * forgotten. A job above probes counts as having too many children: its detached probes are found by its data.
 */
export const ENDED_JOB_FUNCTIONS = `
CREATE OR REPLACE FUNCTION umbel_tree(
  p_queue text, p_id text, p_mode text, p_until bigint, p_forgotten boolean, p_limit integer
) RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_queues text[] := ARRAY[p_queue];
  v_ids text[] := ARRAY[p_id];
  v_seen text[] := '{}';
  v_rest text[] := '{}';
  v_open text[] := '{}';
  v_at integer := 0;
  v_count integer;
  v_probes boolean;
  v_state text;
  v_ended bigint;
  v_is_open boolean;
  r record;
BEGIN
  WHILE v_at < cardinality(v_ids) LOOP
    v_at := v_at + 1;
    SELECT state::text, finished_at_ms INTO v_state, v_ended FROM job WHERE queue = v_queues[v_at] AND id = v_ids[v_at];
    v_is_open := FOUND AND (v_state NOT IN ('completed', 'failed') OR v_ended > p_until);
    IF v_is_open AND NOT p_forgotten THEN RETURN '{"state": "open"}'::jsonb; END IF;
    v_count := 0;
    v_probes := false;
    IF p_mode <> 'job' THEN
      SELECT count(*), COALESCE(bool_or(child_id ~ '\\.\\d+!$'), false) INTO v_count, v_probes
        FROM job_dependency WHERE parent_queue = v_queues[v_at] AND parent_id = v_ids[v_at];
    END IF;
    IF v_probes OR v_count > p_limit - cardinality(v_ids) THEN
      v_rest := v_rest || (v_queues[v_at] || ':' || v_ids[v_at]);
      CONTINUE;
    END IF;
    v_seen := v_seen || (v_queues[v_at] || ':' || v_ids[v_at]);
    IF v_is_open THEN v_open := v_open || (v_queues[v_at] || ':' || v_ids[v_at]); END IF;
    IF v_count > 0 THEN
      FOR r IN SELECT child_queue, child_id FROM job_dependency
        WHERE parent_queue = v_queues[v_at] AND parent_id = v_ids[v_at]
      LOOP
        v_queues := v_queues || r.child_queue;
        v_ids := v_ids || r.child_id;
      END LOOP;
    END IF;
  END LOOP;
  IF cardinality(v_rest) + cardinality(v_open) > 0 THEN
    RETURN jsonb_build_object('seen', to_jsonb(v_seen), 'rest', to_jsonb(v_rest), 'open', to_jsonb(v_open));
  END IF;
  IF p_mode <> 'check' THEN
    FOR v_at IN 1 .. cardinality(v_ids) LOOP
      DELETE FROM job WHERE queue = v_queues[v_at] AND id = v_ids[v_at] RETURNING state::text INTO v_state;
      IF FOUND AND p_forgotten THEN
        PERFORM publish_event(v_queues[v_at], 'removed', jsonb_build_object('jobId', v_ids[v_at], 'prev', v_state));
      END IF;
    END LOOP;
  END IF;
  RETURN '{"state": "ended"}'::jsonb;
END;
$$;

CREATE OR REPLACE FUNCTION umbel_remove_trees(
  p_queue text, p_ids text[], p_mode text, p_until bigint, p_forgotten boolean, p_limit integer
) RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_states jsonb := '[]'::jsonb;
  v_id text;
BEGIN
  FOREACH v_id IN ARRAY p_ids LOOP
    v_states := v_states || jsonb_build_array(umbel_tree(p_queue, v_id, p_mode, p_until, p_forgotten, p_limit));
  END LOOP;
  RETURN v_states;
END;
$$;

-- A job that a worker takes at the same moment stays, like one that runs.
CREATE OR REPLACE FUNCTION umbel_remove_unended(p_queues text[], p_ids text[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  FOR v_at IN 1 .. cardinality(p_ids) LOOP
    PERFORM 1 FROM job WHERE queue = p_queues[v_at] AND id = p_ids[v_at] AND state <> 'active' FOR UPDATE SKIP LOCKED;
    IF FOUND THEN PERFORM umbel_remove(p_queues[v_at], p_ids[v_at], false); END IF;
  END LOOP;
END;
$$;
`;
