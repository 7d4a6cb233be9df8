/** Jobs that fail before their handler is called, as far as anything is known of them for the hooks. */
import { JobStateError } from '../errors.js';
import { type Envelope, encodeEnvelope, isEnvelope, readEnvelope } from '../wire/envelope.js';
import type { ActiveJob } from './job.js';

/** A job whose record the store holds in a form that BullMQ cannot read. */
export interface UnreadableJob {
  readonly id: string;
  readonly queue: string;
  /** Adds a line to the log of the job. */
  log(line: string): Promise<void>;
}

/** The fields of a stored job that can be read, of data that cannot be used as a whole. */
export function readableEnvelope(data: unknown): Envelope {
  return encodeEnvelope(isEnvelope(data) ? readEnvelope(data as Envelope) : {}); // of which each field is checked
}

/** Such a job as the context of its hooks needs it; it has ended, so nothing else can be done with it. */
export function activeJobOf({ id, queue, log }: UnreadableJob): ActiveJob {
  const over = () => Promise.reject(new JobStateError(`Job ${id} cannot be read, and has failed.`));
  const { signal } = new AbortController();
  return {
    id,
    queue,
    name: 'unknown',
    data: undefined,
    attempt: 1,
    starts: 1,
    stalls: 0,
    retry: undefined,
    priority: undefined,
    enqueuedAt: 0,
    delayMs: 0,
    signal,
    giveUp() {},
    onGiveUp() {},
    offGiveUp() {},
    chargeLossIf() {},
    onceStored: (listener) => listener(),
    mayHavePendingChildren: false,
    refusedWaits: 0,
    childResults: async () => new Map(),
    failedChildren: async () => [],
    endedChildren: new Map(),
    save: over,
    change: over,
    endUniqueness: over,
    updateProgress: over,
    log,
  };
}
