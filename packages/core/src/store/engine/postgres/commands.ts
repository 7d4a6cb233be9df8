/**
 * This module implements the commands that BullMQ's contract lacks, for jobs, limits, events and names of queues. Each is one
 * statement, so it is atomic.
 */
import { systemClock } from '../../../base/time.js';
import type { EndedTimePrimitive } from '../../primitives/ended-jobs.js';
import type { Primitives } from '../../primitives/jobs.js';
import type { LimitPrimitive, QueueNamePrimitive } from '../../primitives/queues.js';
import type { EndedJobsPrimitive, OldEvents, StreamsPrimitive } from '../../primitives/streams.js';
import type { SqlBackend } from './backend.js';
import { wrapText } from './text.js';

export function sqlPrimitives(backend: SqlBackend): Primitives {
  const { qualifiedName } = backend;
  return {
    async takeLock(id, token, starts, durationMs) {
      const now = Math.round(systemClock.now() - backend.offsetMs());
      const { rows } = await backend.query(
        `UPDATE job SET lock_token = $3, locked_until_ms = $5::bigint + $6::bigint,
            stalled_marked = false
          WHERE queue = $1 AND id = $2 AND state = 'active' AND attempts_started = $4
            AND (lock_token IS NULL OR lock_token = $3 OR locked_until_ms < $5::bigint) RETURNING id`,
        [qualifiedName, id, token, starts, now, Math.round(durationMs)],
      );
      return rows.length === 1;
    },
    async replaceData(id, current, next, only = undefined) {
      const condition = typeof only === 'object' ? 'held' : (only ?? '');
      const starts = typeof only === 'object' ? only.starts : null;
      // A program without this engine has stored the text as JSON.
      const plain = isJson(current) ? current : 'null';
      const { rows } = await backend.query(
        `UPDATE job SET data = $4::jsonb
          WHERE queue = $1 AND id = $2 AND (data = $3::jsonb OR data = $7::jsonb)
            AND ($5 = '' OR $5 = 'failed' AND state = 'failed'
              OR $5 = 'held' AND attempts_started = $6 AND finished_at_ms IS NULL)
          RETURNING id`,
        [qualifiedName, id, wrapText(current), wrapText(next), condition, starts, plain],
      );
      return rows.length === 1;
    },
    async tryWrite() {
      await backend.query('SELECT pg_current_xact_id()');
    },
    async hasLock(id) {
      const now = Math.round(systemClock.now() - backend.offsetMs());
      const { rows } = await backend.query(
        `SELECT EXISTS (SELECT 1 FROM job WHERE queue = $1 AND id = $2 AND lock_token IS NOT NULL
          AND locked_until_ms >= $3::bigint) AS "hasLock"`,
        [qualifiedName, id, now],
      );
      return rows[0].hasLock === true;
    },
    async hasEnded(id) {
      const { rows } = await backend.query(
        `SELECT NOT EXISTS (SELECT 1 FROM job WHERE queue = $1 AND id = $2 AND state NOT IN ('completed', 'failed'))
          AS "hasEnded"`,
        [qualifiedName, id],
      );
      return rows[0].hasEnded === true;
    },
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export function sqlLimits(backend: SqlBackend): LimitPrimitive {
  return {
    async setLimits({ concurrency, rate }) {
      const now = Math.round(systemClock.now() - backend.offsetMs());
      await backend.query('SELECT umbel_set_limits($1, $2, $3, $4, $5)', [
        backend.qualifiedName,
        concurrency === undefined ? '' : (concurrency ?? 'none'),
        rate === undefined ? '' : (rate?.max ?? 'none'),
        rate?.durationMs ?? null,
        now,
      ]);
    },
  };
}

export function sqlStreams(backend: SqlBackend): StreamsPrimitive & OldEvents & EndedJobsPrimitive {
  return {
    noticeEnds: (listener) => backend.noticeEnds(listener),
    readStreams: (places, limit, blockMs) => backend.eventsAfter(places, limit, blockMs),
    async removeOldEvents(before) {
      await backend.query(
        `DELETE FROM umbel_event AS e WHERE queue = $1 AND created_at_ms < $2 AND (horizon, id) < (
          SELECT horizon, id FROM umbel_event WHERE queue = $1 ORDER BY horizon DESC, id DESC LIMIT 1)`,
        [backend.qualifiedName, Math.max(0, Math.floor(before))],
      );
    },
  };
}

export function sqlEndedTimes(backend: SqlBackend): EndedTimePrimitive {
  return {
    async endedAt(set, jobId) {
      const { rows } = await backend.query(
        'SELECT finished_at_ms AS at FROM job WHERE queue = $1 AND id = $2 AND state = $3::job_state',
        [backend.qualifiedName, jobId, set],
      );
      return rows[0] === undefined ? undefined : Number(rows[0].at);
    },
  };
}

export function sqlQueueNames(backend: SqlBackend): QueueNamePrimitive {
  return {
    async queueNames(start) {
      const { rows } = await backend.query(
        `SELECT DISTINCT queue AS name FROM job WHERE starts_with(queue, $1)
         UNION SELECT queue FROM umbel_event WHERE starts_with(queue, $1) AND queue LIKE '%.control' LIMIT 10000`,
        [start],
      );
      return { names: rows.map(({ name }) => name as string), isComplete: true };
    },
  };
}
