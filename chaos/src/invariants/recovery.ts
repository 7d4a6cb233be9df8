/** I10: after the last fault everything is done within the lock, two sweeps, and the time that the work takes. */
import type { Invariant } from './evidence.js';

/** For what was in flight when the faults ended. */
const WORK_MS = 30_000;

export const recovery: Invariant = ({ history, lockMs, recoveries }) => {
  const endedAt = history.find(({ event }) => event === 'faults-ended')?.at;
  if (endedAt === undefined) return [{ invariant: 'I10', message: 'the faults never ended' }];
  const quietAt = history.find(({ event }) => event === 'quiet')?.at;
  const limitMs = recoveries * 3 * lockMs + WORK_MS;
  if (quietAt === undefined) {
    return [{ invariant: 'I10', message: `not everything was done ${limitMs} ms after the last fault` }];
  }
  if (quietAt - endedAt <= limitMs) return [];
  const message = `everything was done ${quietAt - endedAt} ms after the last fault; expected ${limitMs}`;
  return [{ invariant: 'I10', message }];
};
