/** I9: whoever waits is told within five seconds of the commit. */
import type { Invariant } from './evidence.js';

const LIMIT_MS = 5000;
/** A look at the store takes a moment, on a machine that has other work. */
const LOOK_MS = 2000;

export const waiters: Invariant = ({ workflows, store, history }) => {
  const endedAt = new Map(store.jobs.map(({ id, finishedAt }) => [id, finishedAt]));
  const away = history.flatMap((line) => (line.event === 'fault' && line.target === 'store' ? [line] : []));
  return workflows.flatMap(({ index, run, told }) => {
    const committedAt = run === undefined ? undefined : endedAt.get(run);
    if (committedAt === undefined || told === undefined) return [];
    const tookMs = told.at - Math.max(committedAt, told.since);
    // While the store is away nobody can ask it.
    const awayMs = away.reduce((sum, { at, since }) => {
      const isMeanwhile = at >= committedAt && since <= told.at;
      return isMeanwhile ? sum + (at - since) + LOOK_MS : sum;
    }, 0);
    if (tookMs <= LIMIT_MS + LOOK_MS + awayMs) return [];
    return [
      { invariant: 'I9', workflow: index, run, message: `a waiter was told ${tookMs} ms after the commit` },
    ];
  });
};
