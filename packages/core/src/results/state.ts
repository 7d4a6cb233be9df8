/**
 * States of a job, in BullMQ's words since operators meet them in the store; `unknown` is ours for an id that the
 * store does not hold.
 *
 * ```
 * waiting ─▶ active ─▶ completed
 *    ▲          │
 *    │          ├─▶ delayed ─▶ waiting     (a retry after back-off; also the start of a call with a countdown)
 *    │          └─▶ failed
 * waiting-children                         (a step whose earlier steps have not ended)
 * ```
 */
export type JobState =
  | 'waiting'
  | 'delayed'
  | 'waiting-children'
  | 'active'
  | 'completed'
  | 'failed'
  | 'unknown';

/** True for states that a job does not leave. */
export function isFinal(state: JobState): boolean {
  return state === 'completed' || state === 'failed';
}
