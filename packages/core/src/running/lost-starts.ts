/**
 * The poison rule: which jobs are not started any more, since their workers keep dying.
 *
 * W2: a worker that dies takes all its jobs with it, most of them without a fault. So only losses within a short while
 * count, and jobs that were lost more than once are started one at a time in a process: one that kills it again can be
 * told from those that only ran beside it.
 */
import type { Clock } from '../clock.js';
import { PoisonJobError } from '../errors.js';
import type { LostStarts } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';

/** Losses after which a job is not started any more, unless the worker says otherwise. */
export const MAX_LOST_STARTS = 3;

/** Losses after which a job does not start beside another one like it. */
const SUSPICIOUS = 2;

/** Losses longer ago do not count. */
const WINDOW_MS = 600_000;

/** How long a suspicious job may run before the next one starts beside it. */
const PROBATION_MS = 30_000;

/** What is known of a job that is to start once more. */
export function lostStarts(
  stored: LostStarts | undefined,
  { stalls, starts }: Pick<ActiveJob, 'stalls' | 'starts'>,
  now: number,
): LostStarts {
  // The first loss is noticed only now.
  if (stored === undefined) return { at: [now] };
  const { begun } = stored;
  const recent = stored.at.filter((at) => now - at < WINDOW_MS);
  if (begun === undefined) return { at: recent };
  // It had an outcome, which clears what was before.
  if (stalls === begun.stalls) return { at: [] };
  // What was handed out since, and did not begin, is lost in another way: its answer did not arrive.
  return { at: starts === begun.start + 1 ? [...recent, now] : recent };
}

/** The same, as it is to be stored right before the handler is called. */
export function begun(
  { at }: LostStarts,
  { stalls, starts }: Pick<ActiveJob, 'stalls' | 'starts'>,
): LostStarts {
  return { at, begun: { start: starts, stalls } };
}

/** Whether a job was lost so often that it is not to run beside others like it. */
export function isSuspicious({ at }: LostStarts): boolean {
  return at.length >= SUSPICIOUS;
}

export function poisonError(task: string, { at }: LostStarts): PoisonJobError {
  return new PoisonJobError(
    `Task "${task}" was started ${at.length} times within ${WINDOW_MS / 60_000} minutes, and each time its worker ` +
      'ended, or was cut off from the store, before the handler did. It is not started again. Look for what its handler ' +
      'does to the process (exit, memory, an endless loop); app.deadLetters.replay runs it once more.',
  );
}

/** Lets suspicious jobs start one after the other. */
export class Probation {
  readonly #clock: Clock;
  #isTaken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes the place of the one that may run, if it is free; gives a function to be called when its outcome is stored. */
  enter(): (() => void) | undefined {
    if (this.#isTaken) return undefined;
    this.#isTaken = true;
    let isOver = false;
    const leave = () => {
      if (!isOver) this.#isTaken = false;
      isOver = true;
      this.#clock.clearTimeout(timer);
    };
    const timer = this.#clock.setDeadline(leave, PROBATION_MS);
    return leave;
  }
}
