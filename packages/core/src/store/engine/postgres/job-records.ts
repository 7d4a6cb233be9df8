/** This module reads the records and states of many jobs of a queue with one statement. */
import type { JobRecord, JobRecordsPrimitive, RecordsAsked } from '../../primitives/job-records.js';
import type { SqlBackend } from './backend.js';

/** Maximum number of bytes of the data in an answer, as the store has compressed them; the last job may exceed it. */
const ANSWER_BYTES = 524_288;

interface RecordRow {
  /** Null if the store holds no such job. */
  readonly id: string | null;
  readonly name: string;
  readonly finished_at_ms: string | null;
  readonly index: number;
  readonly state: string;
  readonly priority: number;
  readonly has_children: boolean;
  readonly fits: boolean;
}

/** The result is left out: it may be long, and no list shows it. */
const COLUMNS = `id, name, state, opts, priority, delay_ms, attempts_made, attempts_started, progress, failed_reason, stacktrace,
  deferred_failure, processed_by, added_at_ms, processed_at_ms, finished_at_ms, stalled_count, dedup_id, scheduler_id,
  parent_queue, parent_id, parent_key`;

const READ_RECORDS = `SELECT read.*, CASE WHEN fits AND size IS NOT NULL THEN (SELECT data FROM job WHERE queue = $1 AND job.id = read.id) END AS data
  FROM (
    SELECT asked.index::integer AS index, job.*,
      COALESCE(sum(size) OVER (ORDER BY asked.index ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) <= $3
        AND COALESCE(size, 0) <= $3 AS fits,
      $4 AND EXISTS (SELECT 1 FROM job_dependency WHERE parent_queue = $1 AND job_dependency.parent_id = job.id) AS has_children
    FROM unnest($2::text[]) WITH ORDINALITY AS asked (key, index)
    LEFT JOIN LATERAL (
      SELECT ${COLUMNS}, CASE WHEN $5::text IS NULL OR name = $5 THEN pg_column_size(data) END AS size
        FROM job WHERE queue = $1 AND id = asked.key OFFSET 0
    ) AS job ON true
  ) AS read ORDER BY index`;

export function sqlJobRecords(backend: SqlBackend): JobRecordsPrimitive {
  return {
    async readRecords(ids, asked) {
      const { rows } = await backend.query(READ_RECORDS, [
        backend.qualifiedName,
        ids,
        ANSWER_BYTES,
        asked.withState,
        asked.name ?? null,
      ]);
      return Promise.all((rows as RecordRow[]).map((row) => recordOf(backend, row, asked)));
    },
  };
}

async function recordOf(
  backend: SqlBackend,
  row: RecordRow,
  { withState, name }: RecordsAsked,
): Promise<JobRecord | undefined> {
  const { id, state, priority, has_children: hasChildren, fits, finished_at_ms: finishedAt } = row;
  if (id === null) return { json: undefined, ...(withState ? GONE : UNASKED) };
  if (name !== undefined && row.name !== name) {
    const other = finishedAt === null ? {} : { finishedAt: Number(finishedAt) };
    return { json: undefined, ...UNASKED, other };
  }
  if (!fits) return undefined;
  const json = await backend.jobOf(row);
  if (!withState) return { json, ...UNASKED };
  return { json, state: state === 'waiting' && priority > 0 ? 'prioritized' : state, hasChildren };
}

const GONE = { state: 'unknown', hasChildren: false } as const;
const UNASKED = { state: undefined, hasChildren: undefined } as const;
