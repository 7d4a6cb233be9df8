/**
 * State of a job. The names are BullMQ's, because operators see them in the store. In BullMQ, `expired` and `revoked` jobs
 * are failed jobs. `skipped` jobs were no longer needed: their chain ended early (in BullMQ they are completed), or their
 * group already had an outcome (in BullMQ they failed). `unknown` means that the store holds no job with this id.
 *
 * ```
 * waiting ─▶ active ─▶ completed
 *    ▲          │
 *    │          ├─▶ delayed ─▶ waiting     (retry after back-off; a call with a countdown starts as `delayed`)
 *    │          └─▶ failed, expired (not started in time), revoked
 * waiting-children                         (earlier steps have not ended)
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

/**
 * Returns true for states that a job does not leave.
 * @example
 * if (isFinal(await result.state())) console.log('done');
 */
export function isFinal(state: string): boolean {
  return FINAL.has(state);
}

/** Returns whether `name` is one of the built-in states. */
export function isJobState(name: string): name is JobState {
  return (JOB_STATES as readonly string[]).includes(name);
}

/** The key of a task's custom state, which is stored in the job's progress. */
export const OWN_STATE = 'umbel:state';
