/** This module removes the waiting jobs of a queue in slices, in SQL. */
import type { LeftJob, PurgePrimitive } from '../../primitives/purge.js';
import { PURGED_AT_ONCE } from '../commands.js';
import type { SqlBackend } from './backend.js';

interface SliceRow {
  readonly removed: number;
  readonly seen: number;
  readonly left: readonly LeftJob[];
  readonly next: string | null;
}

/**
 * A cursor has the last number of the queue's order at the start, and the sort key of the last checked job. Jobs that were
 * added since the start have later numbers.
 */
export function sqlPurge(backend: SqlBackend): PurgePrimitive {
  const { qualifiedName } = backend;
  return {
    async purgeStart(set) {
      const { rows } = await backend.query(
        `SELECT count(*)::int AS count, COALESCE(max(abs(seq)), 0)::text AS last FROM job
          WHERE queue = $1 AND ${WHERE[set]}`,
        [qualifiedName],
      );
      const [{ count, last }] = rows as [{ count: number; last: string }];
      return { count, cursor: `${last} ${FROM_START}`, isMoved: false };
    },
    async purgeSlice(set, { cursor, limit, sentBy }) {
      if (limit === 0) return { removed: 0, seen: 0, left: [], next: cursor };
      const [last = '0', first = '', second = '0', id = ''] = cursor.split(' ');
      const { rows } = await backend.query('SELECT * FROM umbel_purge($1, $2, $3, $4, $5, $6, $7, $8)', [
        ...[qualifiedName, set, last, first, second, id],
        ...[Math.min(limit, PURGED_AT_ONCE), Math.floor(Math.min(sentBy, Number.MAX_SAFE_INTEGER))],
      ]);
      const [{ removed, seen, left, next }] = rows as [SliceRow];
      return { removed, seen, left, ...(next !== null && { next: `${last} ${next}` }) };
    },
  };
}

/** Conditions of the sets. */
const WHERE = {
  wait: "state = 'waiting' AND priority = 0",
  prioritized: "state = 'waiting' AND priority > 0",
  delayed: "state = 'delayed'",
} as const;

/** Sort key before all others. */
const FROM_START = '-9223372036854775808 -9223372036854775808 ';

/**
 * Removes single jobs as BullMQ does, with BullMQ's event, and returns those with a parent or children. A job that a
 * worker takes at the same time is skipped. The next job of a BullMQ job scheduler stays, because the scheduler depends on
 * it.
 */
export const PURGE_FUNCTIONS = `
CREATE OR REPLACE FUNCTION umbel_run_of(p_data jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_text text := p_data ->> 'umbel:text';
  v_envelope jsonb;
BEGIN
  IF v_text IS NULL OR length(v_text) > 65536 THEN RETURN ''; END IF;
  v_envelope := v_text::jsonb;
  IF jsonb_typeof(v_envelope -> 'run') <> 'string' OR v_envelope -> 'umbel' IS NULL OR v_envelope -> 'alone' IS NOT NULL
  THEN RETURN ''; END IF;
  RETURN COALESCE(v_envelope ->> 'run', '');
EXCEPTION WHEN others THEN
  RETURN '';
END;
$$;

CREATE OR REPLACE FUNCTION umbel_purge(
  p_queue text, p_set text, p_last bigint, p_first bigint, p_second bigint, p_id text, p_limit integer, p_sent_by bigint
) RETURNS TABLE (removed integer, seen integer, "left" jsonb, next text)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_read integer := 0;
  r record;
BEGIN
  removed := 0;
  seen := 0;
  "left" := '[]'::jsonb;
  FOR r IN
    SELECT job.*, CASE p_set WHEN 'delayed' THEN process_at_ms ELSE priority END AS first_key
      FROM job WHERE queue = p_queue
       AND CASE p_set WHEN 'wait' THEN state = 'waiting' AND priority = 0
         WHEN 'prioritized' THEN state = 'waiting' AND priority > 0 ELSE state = 'delayed' END
       AND (CASE p_set WHEN 'delayed' THEN process_at_ms ELSE priority END, seq, id COLLATE "C") > (p_first, p_second, p_id)
     ORDER BY first_key, seq, id COLLATE "C" LIMIT p_limit
  LOOP
    v_read := v_read + 1;
    next := r.first_key || ' ' || r.seq || ' ' || r.id;
    -- Jobs that were added or released since the start.
    CONTINUE WHEN abs(r.seq) > p_last AND (p_set <> 'delayed' OR r.added_at_ms > p_sent_by);
    CONTINUE WHEN r.added_at_ms > p_sent_by AND r.data ->> 'umbel:text' LIKE '{"umbel":%';
    seen := seen + 1;
    CONTINUE WHEN r.scheduler_id IS NOT NULL AND EXISTS (
      SELECT 1 FROM scheduler WHERE queue = p_queue AND scheduler_id = r.scheduler_id
        AND r.id = 'repeat:' || scheduler_id || ':' || next_run_ms);
    IF r.parent_id IS NOT NULL OR position('.' in r.id) > 0
      OR EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = p_queue AND parent_id = r.id)
    THEN
      "left" := "left" || jsonb_build_array(jsonb_build_object('id', r.id, 'run', umbel_run_of(r.data)));
      CONTINUE;
    END IF;
    PERFORM 1 FROM job WHERE queue = p_queue AND id = r.id AND state = r.state FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    PERFORM dedup_on_removal(p_queue, r.id, r.dedup_id);
    DELETE FROM dedup_next WHERE queue = p_queue AND dedup_id = r.dedup_id;
    DELETE FROM job WHERE queue = p_queue AND id = r.id;
    PERFORM publish_event(p_queue, 'removed', jsonb_build_object('jobId', r.id, 'prev', p_set));
    removed := removed + 1;
  END LOOP;
  IF v_read < p_limit THEN next := NULL; END IF;
  RETURN NEXT;
END;
$$;
`;
