/** This module reads jobs of a run with all that they wait for, many levels with one statement. */
import type { RunTreePrimitive, TreeJob } from '../../primitives/run-trees.js';
import type { SqlBackend } from './backend.js';
import { INDEXED } from './event-functions.js';
import { unwrapText } from './text.js';

/** Maximum number of jobs in an answer. */
const JOBS = 100;
/** Maximum number of bytes of data in an answer, as the store has compressed them. */
const ANSWER_BYTES = 262_144;
/** The children of a job with more of them are not listed. */
const LISTED_CHILDREN = 100;
/** The children of a job with more of them are not read: of a large group only some are needed. */
const READ_CHILDREN = 20;

/** A row of `umbel_run_tree`. */
interface TreeRow {
  readonly key: string;
  /** Empty for a job that has to be read by itself. */
  readonly state: NonNullable<TreeJob['state']> | '';
  /** Null if the store holds no such job. */
  readonly name: string | null;
  readonly data: string | null;
  readonly added: string;
  readonly attempts: string;
  readonly started: string | null;
  readonly finished: string | null;
  readonly reason: string | null;
  /** Null if there are too many. */
  readonly unprocessed: string[] | null;
  readonly processed: string[];
  readonly ignored: [key: string, reason: string][];
}

export function sqlRunTrees(backend: SqlBackend): RunTreePrimitive {
  return {
    async readRunTree(id) {
      const { rows } = await backend.query('SELECT * FROM umbel_run_tree($1, $2, $3, $4, $5, $6)', [
        ...[backend.qualifiedName, id, JOBS, ANSWER_BYTES, LISTED_CHILDREN, READ_CHILDREN],
      ]);
      return (rows as TreeRow[]).map(treeJobOf);
    },
  };
}

function treeJobOf(row: TreeRow): TreeJob {
  const { key, state, name, data, unprocessed, processed, ignored } = row;
  const isAlone = state === '';
  return {
    key,
    state: isAlone ? undefined : state,
    fields:
      isAlone || name === null
        ? undefined
        : {
            name,
            data: data === null ? undefined : unwrapText(data),
            timestamp: row.added,
            attemptsMade: row.attempts,
            processedOn: row.started ?? undefined,
            finishedOn: row.finished ?? undefined,
            failedReason: row.reason ?? undefined,
          },
    children: isAlone || unprocessed === null ? undefined : { unprocessed, processed, ignored },
  };
}

/** An active job has to be read by itself: its handler may show a state of its own. Members of slices are not read ahead. */
export const RUN_TREE_FUNCTION = `
CREATE OR REPLACE FUNCTION umbel_run_tree(
  p_queue text, p_id text, p_jobs integer, p_bytes bigint, p_listed integer, p_read integer
) RETURNS TABLE (
  key text, state text, name text, data text, added text, attempts text, started text, finished text, reason text,
  unprocessed text[], processed text[], ignored json
)
LANGUAGE plpgsql STABLE ${INDEXED} AS $$
#variable_conflict use_column
DECLARE
  v_queues text[] := ARRAY[p_queue];
  v_ids text[] := ARRAY[p_id];
  v_at integer := 0;
  v_left bigint := p_bytes;
  v_children integer;
  r record;
BEGIN
  WHILE v_at < cardinality(v_ids) AND v_at < p_jobs AND v_left > 0 LOOP
    v_at := v_at + 1;
    key := v_queues[v_at] || ':' || v_ids[v_at];
    SELECT job.*, pg_column_size(job.data) AS size INTO r FROM job WHERE queue = v_queues[v_at] AND id = v_ids[v_at];
    state := CASE WHEN r.id IS NULL THEN 'unknown' WHEN r.state = 'active' OR r.size > v_left THEN ''
      WHEN r.state = 'waiting' AND r.priority > 0 THEN 'prioritized' ELSE r.state::text END;
    name := NULL;
    data := NULL;
    unprocessed := NULL;
    processed := NULL;
    ignored := NULL;
    IF state NOT IN ('', 'unknown') THEN
      name := r.name;
      data := r.data::text;
      added := r.added_at_ms;
      attempts := r.attempts_made;
      started := r.processed_at_ms;
      finished := r.finished_at_ms;
      reason := r.failed_reason;
      v_left := v_left - r.size;
    END IF;
    SELECT count(*) INTO v_children FROM (
      SELECT 1 FROM job_dependency WHERE parent_queue = v_queues[v_at] AND parent_id = v_ids[v_at] LIMIT p_listed + 1
    ) AS found;
    IF v_children <= p_listed THEN
      SELECT COALESCE(array_agg(child_key) FILTER (WHERE status = 'pending'), '{}'),
          COALESCE(array_agg(child_key) FILTER (WHERE status = 'processed'), '{}'),
          COALESCE(json_agg(json_build_array(child_key, COALESCE(value #>> '{}', value::text, '')))
            FILTER (WHERE status = 'ignored'), '[]')
        INTO unprocessed, processed, ignored
        FROM job_dependency WHERE parent_queue = v_queues[v_at] AND parent_id = v_ids[v_at];
      IF v_children BETWEEN 1 AND p_read THEN
        SELECT v_queues || array_agg(child_queue ORDER BY child_key), v_ids || array_agg(child_id ORDER BY child_key)
          INTO v_queues, v_ids
          FROM (SELECT child_queue, child_id, child_key FROM job_dependency
            WHERE parent_queue = v_queues[v_at] AND parent_id = v_ids[v_at] AND child_id !~ '/[0-9]+$'
              AND status IN ('pending', 'processed', 'ignored')) AS child;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END;
$$;
`;
