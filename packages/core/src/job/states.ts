/**
 * States of a job, in BullMQ's words since operators meet them in the store; `expired` and `revoked` are jobs that
 * failed so, `skipped` those that were not needed any more (their chain had ended early, or their group had its outcome),
 * and `unknown` is an id that the store does not hold.
 *
 * ```
 * waiting ─▶ active ─▶ completed
 *    ▲          │
 *    │          ├─▶ delayed ─▶ waiting     (a retry after back-off; also the start of a call with a countdown)
 *    │          └─▶ failed, expired (not started in time), revoked
 * waiting-children                         (a step whose earlier steps have not ended)
 * ```
 */
export type JobState = (typeof JOB_STATES)[number];

const JOB_STATES = [
  'waiting',
  'delayed',
  'waiting-children',
  'active',
  'completed',
  'failed',
  'expired',
  'revoked',
  'skipped',
  'unknown',
] as const;

const FINAL: ReadonlySet<string> = new Set<JobState>([
  'completed',
  'failed',
  'expired',
  'revoked',
  'skipped',
]);

/** True for states that a job does not leave. */
export function isFinal(state: string): boolean {
  return FINAL.has(state);
}

/** Whether this is the name of a state that every job can have. */
export function isJobState(name: string): name is JobState {
  return (JOB_STATES as readonly string[]).includes(name);
}

/** The key of a state of the task's own, stored as the job's progress beside the progress itself. */
export const OWN_STATE = 'umbel:state';
