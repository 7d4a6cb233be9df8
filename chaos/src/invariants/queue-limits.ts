/** No more jobs of a queue run at once, and no more start in a time, than its limits say. */
import type { HistoryLine } from '../history.js';
import type { LedgerEntry } from '../ledger.js';
import type { StoredJob } from '../stored-state.js';
import { LIMITED_QUEUE, type Limits } from '../timed-tasks.js';
import type { Invariant } from './evidence.js';

/**
 * The store counts from the first job of a second on, so any shorter stretch touches two such seconds at most. It is
 * shorter by more than clocks of workers differ.
 */
const STRETCHES_MS = [800, 2800, 9800] as const;

export const queueLimits: Invariant = ({ ledger, history, store, limits }) => {
  if (limits === undefined) return [];
  const messages = [
    ...surplusAtOnce(ledger, history, limits),
    ...surplusInTime(
      store.jobs.filter(({ queue }) => queue === LIMITED_QUEUE),
      limits,
    ),
  ];
  return messages.map((message) => ({ invariant: 'limits', message }));
};

/** A handler runs from its start to its end, or to the end of its process. */
function surplusAtOnce(
  ledger: readonly LedgerEntry[],
  history: readonly HistoryLine[],
  { concurrency }: Limits,
): string[] {
  const own = ledger.filter(({ value }) => value === 'limited');
  const ends = timesBy(own, (entry) => (entry.event === 'end' ? `${entry.job} ${entry.pid}` : undefined));
  const deaths = timesBy(history, (line) => (line.event === 'worker-ended' ? line.pid : undefined));
  const changes = own.flatMap(({ event, at: from, job, pid }) => {
    if (event !== 'start') return [];
    const isLater = (at: number) => at >= from;
    const endAt = ends.get(`${job} ${pid}`)?.find(isLater) ?? Number.POSITIVE_INFINITY;
    const to = Math.min(endAt, deaths.get(pid)?.find(isLater) ?? Number.POSITIVE_INFINITY);
    return to === from
      ? []
      : [
          { at: from, by: 1 },
          { at: to, by: -1 },
        ];
  });
  // A job that ends in the millisecond in which another one starts makes room for it.
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let running = 0;
  let most = 0;
  for (const { by } of changes) {
    running += by;
    most = Math.max(most, running);
  }
  return most > concurrency ? [`${most} jobs of the limited queue ran at once, and not ${concurrency}`] : [];
}

/** When something happened, in order, by what it happened to. */
function timesBy<Line extends { readonly at: number }, Key>(
  lines: readonly Line[],
  keyOf: (line: Line) => Key | undefined,
): ReadonlyMap<Key, readonly number[]> {
  const times = new Map<Key, number[]>();
  for (const line of lines) {
    const key = keyOf(line);
    if (key !== undefined) times.set(key, [...(times.get(key) ?? []), line.at]);
  }
  return times;
}

function surplusInTime(jobs: readonly StoredJob[], { perSecond }: Limits): string[] {
  const starts = jobs.flatMap(({ startedAt }) => (startedAt === undefined ? [] : [startedAt]));
  const inOrder = starts.toSorted((a, b) => a - b);
  return STRETCHES_MS.flatMap((stretchMs) => {
    const allowed = perSecond * (Math.floor(stretchMs / 1000) + 2);
    let first = 0;
    let most = 0;
    for (const [index, at] of inOrder.entries()) {
      while ((inOrder[first] ?? at) < at - stretchMs) first += 1;
      most = Math.max(most, index - first + 1);
    }
    return most > allowed
      ? [`${most} jobs of the limited queue started in ${stretchMs} ms, and not ${allowed}`]
      : [];
  });
}
