/** This module implements the index of tags in two tables; `../../tags.ts` uses it. */
import type { TaggedEntry, TagPrimitives } from '../../primitives/tags.js';
import { TAG_CHECKS } from '../commands.js';
import type { SqlBackend } from './backend.js';

export function sqlTags(backend: SqlBackend): TagPrimitives {
  const { qualifiedName } = backend;
  return {
    async noteTags(notes) {
      const rows = notes.map(({ queue, id, at, tags, checkAt }) => ({
        ...{ queue, id, tags },
        at: whole(at),
        check_at: whole(checkAt),
      }));
      await backend.query(
        `WITH note AS (
          SELECT * FROM jsonb_to_recordset($2::jsonb) AS t (queue text, id text, tags text[], at bigint, check_at bigint)
        ), entries AS (
          INSERT INTO umbel_tag (index_queue, tag, at, queue, id)
          SELECT DISTINCT $1, tag, at, queue, id FROM note, unnest(tags) AS tag ON CONFLICT DO NOTHING
        )
        INSERT INTO umbel_tag_note (index_queue, at, queue, id, tags, check_at)
        SELECT DISTINCT ON (queue, id, at, tags) $1, at, queue, id, tags, check_at FROM note
        ON CONFLICT (index_queue, queue, id, at, tags) DO UPDATE SET check_at = EXCLUDED.check_at`,
        [qualifiedName, JSON.stringify(rows)],
      );
    },
    async findTagged(tag, limit, from, isBehind) {
      const after = from === undefined ? '' : `AND (at, queue, id) ${isBehind ? '<' : '<='} ($4, $5, $6)`;
      const { rows } = await backend.query(
        `SELECT at, queue, id FROM umbel_tag WHERE index_queue = $1 AND tag = $2 ${after}
          ORDER BY at DESC, queue DESC, id DESC LIMIT $3`,
        [qualifiedName, tag, limit, ...(from === undefined ? [] : [whole(from.at), from.queue, from.id])],
      );
      return rows.map(({ at, queue, id }): TaggedEntry => ({ at: Number(at), queue, id }));
    },
    async checkTags(now, limit, { completedMs, failedMs }) {
      const prefix = qualifiedName.slice(0, qualifiedName.lastIndexOf(':') + 1);
      const { rows } = await backend.query('SELECT umbel_check_tags($1, $2, $3, $4, $5, $6) AS count', [
        qualifiedName,
        prefix,
        whole(now),
        limit,
        whole(completedMs),
        whole(failedMs),
      ]);
      return Number(rows[0].count);
    },
  };
}

function whole(ms: number): number {
  return Math.max(0, Math.floor(Math.min(ms, Number.MAX_SAFE_INTEGER)));
}

export const TAG_FUNCTIONS = `
CREATE OR REPLACE FUNCTION umbel_check_tags(
  p_index text, p_prefix text, p_now bigint, p_limit integer, p_completed bigint, p_failed bigint
) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_count integer := 0;
  v_state text;
  v_ended bigint;
  v_next bigint;
  r record;
BEGIN
  FOR r IN SELECT * FROM umbel_tag_note WHERE index_queue = p_index AND check_at <= p_now
    ORDER BY check_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  LOOP
    v_count := v_count + 1;
    SELECT state::text, finished_at_ms INTO v_state, v_ended FROM job WHERE queue = p_prefix || r.queue AND id = r.id;
    IF NOT FOUND THEN
      DELETE FROM umbel_tag WHERE index_queue = p_index AND tag = ANY (r.tags) AND at = r.at
        AND queue = r.queue AND id = r.id;
      DELETE FROM umbel_tag_note WHERE index_queue = p_index AND queue = r.queue AND id = r.id AND at = r.at
        AND tags = r.tags;
      CONTINUE;
    END IF;
    IF v_ended IS NOT NULL THEN
      v_next := v_ended + CASE v_state WHEN 'failed' THEN p_failed ELSE p_completed END + 1000;
      IF v_next <= p_now THEN v_next := p_now + ${TAG_CHECKS.overdueMs}; END IF;
    ELSE
      v_next := p_now + LEAST(GREATEST((p_now - r.at) / ${TAG_CHECKS.ageShare}, ${TAG_CHECKS.soonMs}), ${TAG_CHECKS.longestMs});
    END IF;
    UPDATE umbel_tag_note SET check_at = v_next WHERE index_queue = p_index AND queue = r.queue AND id = r.id
      AND at = r.at AND tags = r.tags;
  END LOOP;
  RETURN v_count;
END;
$$;
`;
