/**
 * A worker whose queue has used up its rate waits where it can be woken.
 *
 * W26: BullMQ sleeps in the process then, for 30 s at most, whatever happens meanwhile: a rate that is raised or taken
 * away would hold for as long. Here the worker is told to wait for a job instead, until the rate allows one again. What
 * sets a rate wakes it, see `LimitPrimitive`.
 */
import { systemClock } from '../../clock.js';

/** It looks again after so long, whatever it is told: some stores wake nobody when a rate is set. */
const LONGEST_MS = 10_000;

/** In the answer that hands out the next job: for how long the rate is used up, and when the next job is due. */
const LIMITED_MS = 2;
const DUE_AT = 3;

/** What a command answers that hands out the next job; if there is none because of a rate, one is due once it ends. */
export function waitingForRate<Answer>(answer: Answer): Answer {
  if (Array.isArray(answer)) return untilAllowed(answer);
  // A commit that hands out a job tells more.
  if (typeof answer !== 'object' || answer === null || !('result' in answer)) return answer;
  const { result } = answer;
  return Array.isArray(result) ? { ...answer, result: untilAllowed(result) } : answer;
}

function untilAllowed<Handed extends unknown[]>(handed: Handed): Handed {
  const limitedMs = handed[LIMITED_MS];
  if (typeof limitedMs !== 'number' || limitedMs <= 0) return handed;
  const dueAt = systemClock.now() + Math.min(limitedMs, LONGEST_MS);
  // The same list with two numbers in the places of two others.
  return handed.with(LIMITED_MS, 0).with(DUE_AT, dueAt) as Handed;
}
