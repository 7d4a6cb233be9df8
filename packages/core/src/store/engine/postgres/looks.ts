/** This module reads the states of many jobs of a queue, and the range of its events, with one statement. */
import type { LookPrimitive, SeenJob } from '../../primitives/looks.js';
import type { SqlBackend } from './backend.js';
import { INDEXED } from './event-functions.js';
import { HELD_LIMIT_MS } from './event-rows.js';
import { positionUpTo } from './positions.js';
import { unwrapText } from './text.js';

/** Maximum number of characters of results and progress in one answer. */
const ANSWER_CHARACTERS = 1_048_576;

interface SeenRow {
  readonly index: number;
  readonly status: SeenJob['status'];
  readonly text: string | null;
  readonly progress: string | null;
}

export function sqlLooks(backend: SqlBackend): LookPrimitive {
  return {
    async lookAtJobs(ids, followed) {
      const { rows } = await backend.query('SELECT * FROM umbel_look($1, $2, $3, $4, $5)', [
        backend.qualifiedName,
        ids,
        followed,
        ANSWER_CHARACTERS,
        HELD_LIMIT_MS,
      ]);
      const [{ jobs, first, last, last_horizon: lastHorizon, last_at: lastAt, before, is_old: isOld }] = rows;
      const isEmpty = last === null;
      // Events of transactions that are still open come later, before some that are already there.
      const isBehind = !isEmpty && BigInt(lastHorizon) > BigInt(before) && isOld !== true;
      return {
        events: {
          first: isEmpty ? undefined : first,
          last: isEmpty ? undefined : isBehind || isOld !== true ? positionUpTo(before, lastAt) : last,
        },
        ...(isBehind && { mayRepeat: true }),
        jobs: (jobs as SeenRow[]).map(({ index, status, text, progress }) => ({
          index,
          status,
          text: text === null ? undefined : status === 'completed' ? unwrapText(text) : text,
          progress: progress === null ? undefined : unwrapText(progress),
        })),
      };
    },
  };
}

export const LOOK_FUNCTION = `
CREATE OR REPLACE FUNCTION umbel_look(
  p_queue text, p_ids text[], p_followed integer, p_characters bigint, p_held_ms bigint
) RETURNS TABLE (jobs json, first text, last text, last_horizon text, last_at text, before text, is_old boolean)
LANGUAGE plpgsql STABLE ${INDEXED} AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY WITH asked AS (
    SELECT id, (index - 1)::int AS index FROM unnest(p_ids) WITH ORDINALITY AS t (id, index)
  ), seen AS (
    SELECT asked.index, CASE WHEN job.id IS NULL THEN 'missing' WHEN job.state IN ('completed', 'failed') THEN job.state::text
        ELSE 'pending' END AS status,
      CASE job.state WHEN 'completed' THEN COALESCE(job.return_value, 'null'::jsonb)::text
        WHEN 'failed' THEN job.failed_reason END AS text,
      CASE WHEN asked.index < p_followed THEN job.progress::text END AS progress
    FROM asked LEFT JOIN LATERAL (SELECT * FROM job WHERE queue = p_queue AND id = asked.id OFFSET 0) AS job ON true
  ), sized AS (
    SELECT *, sum(COALESCE(length(text), 0) + COALESCE(length(progress), 0)) OVER (ORDER BY index) AS size FROM seen
  )
  SELECT COALESCE((SELECT json_agg(json_build_object('index', index, 'status', status,
        'text', CASE WHEN size <= p_characters THEN text END, 'progress', CASE WHEN size <= p_characters THEN progress END) ORDER BY index)
      FROM sized WHERE status <> 'pending' OR progress IS NOT NULL), '[]'::json) AS jobs,
    (SELECT horizon || '-' || id || '@' || created_at_ms FROM umbel_event WHERE queue = p_queue ORDER BY horizon, id LIMIT 1) AS first,
    newest.position AS last, newest.horizon::text AS last_horizon, newest.at::text AS last_at,
    (pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text AS before,
    newest.horizon > pg_snapshot_xmin(pg_current_snapshot())::text::bigint
      AND newest.at < extract(epoch FROM clock_timestamp()) * 1000 - p_held_ms AS is_old
  FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT horizon, created_at_ms AS at, horizon || '-' || id || '@' || created_at_ms AS position
    FROM umbel_event WHERE queue = p_queue ORDER BY horizon DESC, id DESC LIMIT 1) AS newest ON true;
END;
$$;
`;
