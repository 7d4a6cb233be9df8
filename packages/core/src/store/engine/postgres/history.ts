/** This module keeps the history of attempts in a table; `../../history.ts` uses it. */
import type { HistoryPrimitives } from '../../primitives/history.js';
import type { SqlBackend } from './backend.js';
import { INDEXED } from './event-functions.js';

export function sqlHistory(backend: SqlBackend): HistoryPrimitives {
  const { qualifiedName } = backend;
  return {
    async addHistory(entries, maxTasks, other) {
      const rows = entries.map(({ slot, keptMs, task, counts }) => ({
        ...{ slot, task, counts },
        kept_ms: Math.ceil(keptMs),
      }));
      await backend.query('SELECT umbel_add_history($1, $2::jsonb, $3, $4)', [
        qualifiedName,
        JSON.stringify(rows),
        maxTasks,
        other,
      ]);
    },
    async readHistory(slots, task) {
      const { rows } = await backend.query('SELECT umbel_read_history($1, $2, $3) AS counts', [
        qualifiedName,
        slots,
        task,
      ]);
      return rows[0].counts as string[];
    },
    async readHistoryTasks(slots) {
      const { rows } = await backend.query(
        `SELECT task, umbel_history_text(counts) AS counts FROM umbel_history
          WHERE queue = $1 AND slot = ANY ($2::text[])`,
        [qualifiedName, slots],
      );
      return rows.map(({ task, counts }): [string, string] => [task, counts]);
    },
  };
}

/**
 * A slot has a row for each task, and its counts are an object of numbers: a row for each count would take ten times the
 * space. A row expires at a fixed time after its first write, so an update changes no index. An expired row is removed by
 * the next write of any worker of the app.
 */
export const HISTORY_OBJECTS = `
CREATE TABLE IF NOT EXISTS umbel_history (
  queue text NOT NULL,
  slot text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  counts jsonb NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (queue, slot, task)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS umbel_history_expiry_idx ON umbel_history (queue, expires_at);

CREATE OR REPLACE FUNCTION umbel_history_text(p_counts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT COALESCE(string_agg(key || ':' || value, ' '), '') FROM jsonb_each_text(p_counts);
$$;

CREATE OR REPLACE FUNCTION umbel_read_history(p_queue text, p_slots text[], p_task text) RETURNS text[]
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT array_agg(COALESCE(umbel_history_text(counts), '') ORDER BY place)
    FROM unnest(p_slots) WITH ORDINALITY AS asked (name, place)
    LEFT JOIN umbel_history ON queue = p_queue AND slot = name AND task = p_task;
$$;

-- The task "" has all tasks together. It is not one of the tasks that a slot is limited to.
CREATE OR REPLACE FUNCTION umbel_add_history(p_queue text, p_entries jsonb, p_max integer, p_other text) RETURNS void
LANGUAGE plpgsql ${INDEXED} AS $$
DECLARE
  v_now bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
BEGIN
  -- Two who add the same tasks in another order would wait for each other, and both would add one task too many.
  PERFORM pg_advisory_xact_lock(hashtext('umbel:history'), hashtext(p_queue));
  DELETE FROM umbel_history WHERE queue = p_queue AND expires_at <= v_now;
  WITH entry AS (
    SELECT slot, task, counts, kept_ms, ord FROM jsonb_array_elements(p_entries) WITH ORDINALITY AS e (value, ord),
      jsonb_to_record(value) AS r (slot text, task text, counts text, kept_ms bigint)
  ), fresh AS (
    SELECT slot, ord, row_number() OVER (PARTITION BY slot ORDER BY ord) AS place FROM entry
     WHERE task <> '' AND NOT EXISTS (
       SELECT 1 FROM umbel_history h WHERE h.queue = p_queue AND h.slot = entry.slot AND h.task = entry.task)
  ), room AS (
    SELECT slot, p_max - (SELECT count(*) FROM umbel_history h
      WHERE h.queue = p_queue AND h.slot = s.slot AND h.task NOT IN ('', p_other)) AS left_over
    FROM (SELECT DISTINCT slot FROM fresh) AS s
  ), named AS (
    SELECT entry.slot, CASE WHEN fresh.place > room.left_over THEN p_other ELSE entry.task END AS task,
      v_now + entry.kept_ms AS expires_at, entry.counts
    FROM entry LEFT JOIN fresh USING (slot, ord) LEFT JOIN room USING (slot)
  ), given AS (
    SELECT slot, task, max(expires_at) AS expires_at, part[1] AS name, sum(part[2]::bigint) AS number
    FROM named, regexp_matches(counts, '(\\w+):(\\d+)', 'g') AS part GROUP BY slot, task, part[1]
  )
  INSERT INTO umbel_history AS h (queue, slot, task, counts, expires_at)
  SELECT p_queue, slot, task, jsonb_object_agg(name, number), max(expires_at) FROM given GROUP BY slot, task
  ON CONFLICT (queue, slot, task) DO UPDATE SET counts = (
    SELECT jsonb_object_agg(name, number) FROM (
      SELECT key AS name, sum(value::bigint) AS number FROM (
        SELECT * FROM jsonb_each_text(h.counts) UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.counts)
      ) AS both_counts GROUP BY key
    ) AS added);
END;
$$;
`;
