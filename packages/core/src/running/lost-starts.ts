/**
 * The poison rule: which jobs are not started any more, since each start of theirs ends its worker.
 *
 * W2: a worker that dies takes all its jobs with it, and most of them have no fault. So a death counts only against a job
 * that ran alone in its process. A job that was lost twice is started alone (`isolation.ts`) until a start has an outcome.
 * These losses do not count at all: of a start that did not reach its handler; of a start whose worker lives, which it
 * says itself as soon as it finds its lock gone (`spareStart`).
 */
import { PoisonJobError } from '../errors.js';
import type { Envelope, LostStart, LostStarts } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';

/** Losses of a job that ran alone, after which it is not started any more, unless the worker says otherwise. */
export const MAX_LOST_STARTS = 5;

/** Losses after which a job is started alone. */
const SUSPICIOUS_AFTER = 2;

/** A loss that comes later after the one before it begins a new count. */
const GAP_MS = 600_000;

/** How long a job stays alone: so long at first, and so many times as long after each further loss. */
const ALONE_MS = { first: 1000, factor: 5, longest: 600_000 };

/** How long a job waits at most until those that run beside it have ended. */
const LONGEST_DRAIN_MS = 10_000;

type Start = Pick<ActiveJob, 'stalls' | 'starts'>;

/** The losses that count for a job that is to start once more, the last one included. */
export function lossesOf(
  stored: LostStarts | undefined,
  { stalls, starts }: Start,
  now: number,
): LostStart[] {
  // The first start of a job stores nothing: whether it has reached the handler is unknown.
  if (stored === undefined) return [{ at: now, start: starts - 1 }];
  const known = inARow(recorded(stored), now);
  const { begun, spared: last } = stored;
  // This start is noted already: the answer to that was lost.
  if (begun === undefined || begun.start === starts) return known;
  // It had an outcome, which clears what was before.
  if (stalls === begun.stalls) return [];
  // Where not every start since was put back, the noted one had an outcome, and a later one was lost before its handler.
  if (starts - begun.start !== stalls - begun.stalls || last === begun.start) return known;
  return [...known, { at: now, start: begun.start, ...(begun.alone && { alone: true }) }];
}

/** What is stored before the job is started, or goes back without a start. */
export function withLosses(losses: readonly LostStart[]): LostStarts {
  return { at: losses.map(({ at }) => at), losses };
}

/** The same, right before the handler is called. */
export function begun(losses: readonly LostStart[], { stalls, starts }: Start, isAlone: boolean): LostStarts {
  return { ...withLosses(losses), begun: { start: starts, stalls, ...(isAlone && { alone: true }) } };
}

/**
 * What is stored before a job is refused as poison. If its worker dies before the refusal is stored, the job is refused
 * again; one that was refused and is replayed starts with no losses.
 */
export function refused(losses: readonly LostStart[], start: Start): LostStarts {
  return { ...begun(losses, start, false), fatal: losses.map(({ at }) => at) };
}

/** The same of a start that is no longer alone; undefined if it is not the last one. */
export function shared(
  stored: LostStarts | undefined,
  { starts }: Start,
): { readonly lost: LostStarts } | undefined {
  if (stored?.begun?.start !== starts || stored.begun.alone !== true) return undefined;
  const { start, stalls } = stored.begun;
  return { lost: { ...stored, begun: { start, stalls } } };
}

/** Takes back the loss of a start whose worker lives; undefined for a job that was failed already. */
export function spareStart({ lost }: Envelope, start: number): Pick<Envelope, 'lost'> | undefined {
  if (lost?.fatal !== undefined) return undefined;
  const losses = lost === undefined ? [] : recorded(lost).filter((loss) => loss.start !== start);
  return { lost: { ...lost, ...withLosses(losses), spared: start } };
}

/** Whether a job was lost so often that it is to run alone. */
export function isSuspicious(losses: readonly LostStart[]): boolean {
  return losses.length >= SUSPICIOUS_AFTER;
}

/** Whether a job was lost so often while it ran alone that it is not to be started any more. */
export function isPoison(losses: readonly LostStart[], max = MAX_LOST_STARTS): boolean {
  return losses.filter(({ alone }) => alone === true).length >= max;
}

/** How long a suspicious job is alone from its start on, and how long it waits for those that run already. */
export function timesAlone({ length }: readonly LostStart[]): { aloneMs: number; drainMs: number } {
  const { first, factor, longest } = ALONE_MS;
  const aloneMs = Math.min(longest, first * factor ** Math.max(0, length - SUSPICIOUS_AFTER));
  return { aloneMs, drainMs: Math.min(aloneMs, LONGEST_DRAIN_MS) };
}

export function poisonError(task: string, losses: readonly LostStart[]): PoisonJobError {
  const alone = losses.filter((loss) => loss.alone === true).length;
  return new PoisonJobError(
    `Task "${task}" has ended its worker ${losses.length} times in a row, ${alone} times while nothing else was started ` +
      'there. It is not started again. Look for what its handler does to the process (exit, memory, an endless loop); ' +
      'app.deadLetters.replay runs it once more.',
  );
}

/** Older versions store the times only. */
function recorded({ at, losses }: LostStarts): readonly LostStart[] {
  return losses ?? at.map((time) => ({ at: time, start: 0 }));
}

/** The last losses, as far as each follows the one before it soon. */
function inARow(losses: readonly LostStart[], now: number): LostStart[] {
  let next = now;
  let from = losses.length;
  for (const { at } of losses.toReversed()) {
    if (next - at >= GAP_MS) break;
    next = at;
    from -= 1;
  }
  return losses.slice(from);
}
