/** What was changed of a worker since its start, to be done again by each process that is started later. */
import type { Change } from './messages.js';

/** `changes` with one more; without those that it makes void. */
export function withChange(changes: readonly Change[], change: Change): Change[] {
  return [...changes.filter((earlier) => !isVoid(earlier, change)), change];
}

function isVoid(earlier: Change, later: Change): boolean {
  if (later.umbel === 'set-concurrency') {
    return (
      earlier.umbel === 'set-concurrency' && (later.queue === undefined || later.queue === earlier.queue)
    );
  }
  return later.umbel === 'remove-queue' && earlier.queue === later.queue;
}
