/** Reads what a PostgreSQL holds at the end of a campaign, table by table and without Umbel. */
import pg from 'pg';
import type { StoreReader } from '../campaign-store.js';
import { parsed, type StoredJob, type StoredState } from '../stored-state.js';

/** The schema of an app whose URL names none. */
const SCHEMA = 'umbel';

interface JobRow {
  readonly queue: string;
  readonly id: string;
  readonly name: string;
  readonly state: string;
  /** The data and the result are JSON texts in objects: see `unwrapped`. */
  readonly data: unknown;
  readonly return_value: unknown;
  readonly failed_reason: string | null;
  readonly attempts_made: number;
  readonly processed_at_ms: string | null;
  readonly finished_at_ms: string | null;
  readonly parent_queue: string | null;
  readonly parent_id: string | null;
}

export function postgresReader(url: string): StoreReader {
  const pool = new pg.Pool({ connectionString: url, max: 2, options: `-c search_path=${SCHEMA}` });
  pool.on('error', () => {}); // the server is restarted on purpose
  return {
    state: (app) => readState(pool, `umbel:{${app}}:`),
    async countOpenJobs(app, queues) {
      const names = queues.map((queue) => `umbel:{${app}}:${queue}`);
      const { rows } = await pool.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM job WHERE queue = ANY ($1) AND state NOT IN ('completed', 'failed')",
        [names],
      );
      return rows[0]?.count ?? 0;
    },
    close: () => pool.end(),
  };
}

async function readState(pool: pg.Pool, prefix: string): Promise<StoredState> {
  const read = async <Row extends pg.QueryResultRow>(statement: string): Promise<readonly Row[]> =>
    (await pool.query<Row>(statement, [prefix])).rows;
  const nameOf = (row: { queue: string; id: string }) => `${row.queue.slice(prefix.length)}:${row.id}`;
  const jobs = await read<JobRow>('SELECT * FROM job WHERE starts_with(queue, $1)');
  const locks = await read<{ queue: string; id: string }>(LOCKED);
  const signals = await read<{ key: string; state: string; expires: boolean }>(
    'SELECT key, state, expires_at IS NOT NULL AS expires FROM umbel_wait WHERE starts_with(queue, $1)',
  );
  const stray = await read<{ row: string }>(STRAY);
  return {
    jobs: jobs.map((row) => jobOf(row, prefix)),
    signals,
    strayKeys: stray.map(({ row }) => row),
    locks: locks.map(nameOf),
  };
}

const LOCKED = `SELECT queue, id FROM job WHERE starts_with(queue, $1) AND lock_token IS NOT NULL
  AND locked_until_ms > extract(epoch FROM clock_timestamp()) * 1000`;

/** Rows that would keep a job waiting forever, or reserve the key of a job that is not there. */
const STRAY = `
  SELECT format('the entry of child %s below %s', child_key, parent_id) AS row FROM job_dependency d
   WHERE starts_with(parent_queue, $1) AND status = 'pending'
     AND NOT EXISTS (SELECT 1 FROM job WHERE queue = d.child_queue AND id = d.child_id)
  UNION ALL
  SELECT format('%s children of %s', pending_deps, id) FROM job j
   WHERE starts_with(queue, $1) AND pending_deps <> (
     SELECT count(*) FROM job_dependency WHERE parent_queue = j.queue AND parent_id = j.id AND status = 'pending')
  UNION ALL
  SELECT format('the deduplication of %s', job_id) FROM dedup k
   WHERE starts_with(queue, $1) AND expire_at_ms IS NULL
     AND NOT EXISTS (SELECT 1 FROM job WHERE queue = k.queue AND id = k.job_id)`;

function jobOf(row: JobRow, prefix: string): StoredJob {
  const { id, name, state, failed_reason, attempts_made, processed_at_ms, finished_at_ms } = row;
  const data = unwrapped(row.data);
  const time = (value: string | null) => (value === null ? undefined : Number(value));
  return {
    queue: row.queue.slice(prefix.length),
    id,
    name,
    state,
    data: typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : undefined,
    result: unwrapped(row.return_value),
    failedReason: failed_reason ?? undefined,
    startedAt: time(processed_at_ms),
    finishedAt: time(finished_at_ms),
    attempts: attempts_made,
    parent:
      row.parent_queue === null || row.parent_id === null
        ? undefined
        : { queue: row.parent_queue.slice(prefix.length), id: row.parent_id },
  };
}

/** Returns the value of a column that holds a JSON text whole, so that its keys keep their order. */
function unwrapped(value: unknown): unknown {
  if (value === null) return undefined;
  const text = (value as { 'umbel:text'?: unknown })['umbel:text'];
  return typeof text === 'string' ? parsed(text) : value;
}
