/** Ids that callers give: the keys of a queue stand beside those of its jobs, and no id may name one of them. */

/** What BullMQ keeps of a queue, beside its jobs. */
const QUEUE_KEYS: ReadonlySet<string> = new Set([
  ...[
    'active',
    'completed',
    'delayed',
    'failed',
    'paused',
    'prioritized',
    'stalled',
    'wait',
    'waiting-children',
  ],
  ...['de', 'events', 'id', 'limiter', 'marker', 'meta', 'metrics', 'pc', 'repeat', 'stalled-check'],
]);

/** What BullMQ keeps of a job, or of other things in a queue, under a key of several parts. */
const PARTS = /^(?:de|metrics):|^repeat:[^:]*$|:(?:dependencies|failed|lock|logs|processed|unsuccessful)$/;

/** Long enough for the ids of deeply nested runs; longer ones are no ids of jobs. */
const MAX_LENGTH = 10_000;

/** Whether a job can have this id. */
export function isJobId(id: string): boolean {
  return id.length > 0 && id.length <= MAX_LENGTH && !QUEUE_KEYS.has(id) && !PARTS.test(id);
}
