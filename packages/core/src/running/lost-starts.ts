/**
 * The poison rule: which jobs are not started any more, since their workers keep dying.
 *
 * W2: a worker that dies takes all its jobs with it, most of them without a fault. So only losses within a short while
 * count, and a job that was lost is then started one at a time in its process: one that kills it again can be told
 * from the others.
 */
import type { Clock } from '../clock.js';
import { PoisonJobError } from '../errors.js';
import type { LostStarts } from '../wire/envelope.js';

/** Losses after which a job is not started any more. */
const MAX_LOST_STARTS = 3;

/** Losses longer ago do not count. */
const WINDOW_MS = 600_000;

/** How long a job that was lost runs before the next one like it may start. */
const PROBATION_MS = 2000;

/** The losses of a job that is to start once more. */
export function lostStarts(stored: LostStarts | undefined, stalls: number, now: number): LostStarts {
  // The last start was followed by an outcome: it clears what was before.
  if (stalls === stored?.seen) return { seen: stalls, at: [] };
  const recent = (stored?.at ?? []).filter((at) => now - at < WINDOW_MS);
  return { seen: stalls, at: [...recent, now] };
}

/** Whether a job was lost too often to be started again. */
export function isPoison({ at }: LostStarts): boolean {
  return at.length >= MAX_LOST_STARTS;
}

export function poisonError(task: string, { at }: LostStarts): PoisonJobError {
  return new PoisonJobError(
    `Task "${task}" was started ${at.length} times within ${WINDOW_MS / 60_000} minutes, and each time its worker ` +
      'ended, or was cut off from the store, before the handler did. It is not started again. Look for what its handler ' +
      'does to the process (exit, memory, an endless loop); app.deadLetters.replay runs it once more.',
  );
}

/** Lets jobs that were lost start one after the other. */
export class Probation {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the job may start, to a function that is to be called at its end. */
  async enter(): Promise<() => void> {
    const before = this.#last;
    let leave = () => {};
    this.#last = new Promise((resolve) => {
      leave = resolve;
    });
    await before;
    const timer = this.#clock.setDeadline(leave, PROBATION_MS);
    return () => {
      this.#clock.clearTimeout(timer);
      leave();
    };
  }
}
