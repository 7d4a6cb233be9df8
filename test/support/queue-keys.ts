/** What BullMQ calls the keys of a queue. */

/** The sets and lists of those of its jobs that have not ended. */
export const OPEN_SETS: readonly string[] = [
  'wait',
  'paused',
  'active',
  'delayed',
  'prioritized',
  'waiting-children',
];

/** All that a job can be in. */
export const JOB_SETS: readonly string[] = [...OPEN_SETS, 'completed', 'failed'];

/** What a queue has beside them. */
export const OTHER_KEYS: readonly string[] = [
  'meta',
  'id',
  'events',
  'stalled',
  'stalled-check',
  'limiter',
  'marker',
  'pc',
  'metrics',
  'repeat',
  'de',
];
