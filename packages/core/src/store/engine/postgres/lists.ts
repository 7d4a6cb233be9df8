/**
 * This module counts the jobs of a queue by state and lists them, each state by its own index: the table has the jobs of all
 * queues and states. BullMQ counts all states by reading every job of the queue.
 */
import type { EndedOrderPrimitive } from '../../primitives/ended-jobs.js';
import type { CountPrimitive, CountsOfSets } from '../../primitives/queues.js';
import type { SqlBackend } from './backend.js';
import { INDEXED } from './event-functions.js';

/** Conditions of BullMQ's types of jobs. Each has an index. */
const CONDITIONS = {
  active: "state = 'active'",
  completed: "state = 'completed'",
  delayed: "state = 'delayed'",
  failed: "state = 'failed'",
  prioritized: "state = 'waiting' AND priority > 0",
  waiting: "state = 'waiting' AND priority = 0",
  'waiting-children': "state = 'waiting-children'",
} as const;

type CountedType = keyof typeof CONDITIONS;

const TYPES = Object.keys(CONDITIONS) as CountedType[];

/** The type of the jobs of a paused queue, which BullMQ's types no longer have. */
const PAUSED: string = 'paused';

/**
 * Returns the numbers of jobs by BullMQ's types. Jobs that wait in a paused queue count as `paused` if that is asked for, else
 * as waiting.
 */
export async function countsByType(backend: SqlBackend, types: readonly string[]): Promise<number[]> {
  const names = types.map((type) => (type === 'wait' || type === PAUSED ? 'waiting' : type) as CountedType);
  const asked = [...new Set(names)].filter((name) => name in CONDITIONS);
  const columns = asked.map(
    (name) => `(SELECT count(*) FROM job WHERE queue = $1 AND ${CONDITIONS[name]})::integer AS "${name}"`,
  );
  const isPaused = `EXISTS (SELECT 1 FROM meta WHERE queue = $1 AND field = 'paused' AND value = '1') AS "isPaused"`;
  const { rows } = await backend.query(`SELECT ${[...columns, isPaused].join(', ')}`, [
    backend.qualifiedName,
  ]);
  const [counts] = rows as [Record<CountedType, number> & { isPaused: boolean }];
  const hasPaused = types.includes(PAUSED);
  return types.map((type, index) => {
    const name = names[index];
    if (name === 'waiting' && hasPaused && (type === PAUSED) !== counts.isPaused) return 0;
    return (name !== undefined && counts[name]) || 0;
  });
}

/**
 * Returns the ids of the jobs of a type at some positions; undefined for a type of which BullMQ's list is right. Negative
 * positions count from the end.
 */
export async function idsAt(
  backend: SqlBackend,
  type: string,
  start: number,
  end: number,
  isAscending: boolean,
): Promise<string[] | undefined> {
  if (type === PAUSED) return [];
  const way = isAscending ? 'ASC' : 'DESC';
  const time = SETS[type as keyof typeof SETS];
  if (time !== undefined) {
    const order = `${time} ${way}, id COLLATE "C" ${way}`;
    return readIds(backend, CONDITIONS[type as keyof typeof SETS], order, start, end);
  }
  const name = type === 'wait' ? 'waiting' : type;
  if (name !== 'waiting' && name !== 'active') return undefined;
  const ids = await readIds(backend, CONDITIONS[name], `seq ${way}`, start, end);
  // BullMQ's getters turn lists round.
  return isAscending ? ids.reverse() : ids;
}

/** Columns by which the jobs of a state are sorted. */
const SETS = { completed: 'finished_at_ms', failed: 'finished_at_ms', delayed: 'process_at_ms' } as const;

async function readIds(
  backend: SqlBackend,
  where: string,
  order: string,
  start: number,
  end: number,
): Promise<string[]> {
  let [first, last] = [start, end === -1 ? Number.POSITIVE_INFINITY : end];
  if (first < 0 || last < 0) {
    const counting = `SELECT count(*)::integer AS length FROM job WHERE queue = $1 AND ${where}`;
    const { rows } = await backend.query(counting, [backend.qualifiedName]);
    const [{ length }] = rows;
    if (first < 0) first = Math.max(0, length + first);
    if (last < 0) last = length + last;
  }
  if (last < first) return [];
  const text = `SELECT id FROM job WHERE queue = $1 AND ${where} ORDER BY ${order} OFFSET $2 LIMIT $3`;
  const limit = last === Number.POSITIVE_INFINITY ? null : last - first + 1;
  const { rows } = await backend.query(text, [backend.qualifiedName, first, limit]);
  return rows.map(({ id }) => id as string);
}

export function sqlLists(backend: SqlBackend): CountPrimitive & EndedOrderPrimitive {
  return {
    async countsUpTo(limit) {
      const { rows } = await backend.query('SELECT * FROM umbel_count_jobs($1, $2)', [
        backend.qualifiedName,
        limit,
      ]);
      return (rows as [CountsOfSets])[0];
    },
    async endedBehind(set, last, limit) {
      const behind =
        last === undefined ? '' : 'AND (finished_at_ms, id COLLATE "C") < ($3::bigint, $4::text)';
      const { rows } = await backend.query(
        `SELECT id, finished_at_ms AS at FROM job WHERE queue = $1 AND ${CONDITIONS[set]} ${behind}
          ORDER BY finished_at_ms DESC, id COLLATE "C" DESC LIMIT $2`,
        [backend.qualifiedName, limit, ...(last === undefined ? [] : [Math.ceil(last.at), last.id])],
      );
      return rows.map(({ id, at }) => ({ id: id as string, at: Number(at) }));
    },
  };
}

/**
 * Counts the jobs of each type up to a limit. The planner would read the table from its start for it, past the jobs of other
 * states.
 */
export const COUNT_FUNCTION = `
CREATE OR REPLACE FUNCTION umbel_count_jobs(
  p_queue text, p_limit integer, ${TYPES.map((name) => `OUT "${name}" integer`).join(', ')}
) LANGUAGE plpgsql STABLE ${INDEXED} AS $$
BEGIN
${TYPES.map(
  (name) => `  SELECT count(*) INTO "${name}" FROM (
    SELECT 1 FROM job WHERE queue = p_queue AND ${CONDITIONS[name]} LIMIT p_limit) AS found;
`,
).join('')}END;
$$;
`;
