import { type IQueueBackend, type Job, UnrecoverableError, Worker } from 'bullmq';
import { type Envelope, encodeEnvelope } from '../codec.js';
import type { ActiveJob } from '../job.js';
import { neverRetried } from '../retry.js';
import type { StoreOptions } from './store.js';

export interface ClaimOptions extends StoreOptions {
  readonly queue: string;
  readonly workerName: string;
  readonly concurrency: number;
  /** A job whose lock is not renewed for this long belongs to a dead worker and runs again elsewhere. */
  readonly lockDurationMs: number;
  readonly keepCompletedMs: number;
  readonly keepFailedMs: number;
}

/** Takes jobs from one queue until it is closed. */
export interface Claimer {
  start(): Promise<void>;
  /** Takes no more, waits for what is running (not with `force`), and disconnects. */
  close(force?: boolean): Promise<void>;
}

/**
 * Stalls are counted for life and for every job of a killed process, so a limit fails jobs whose handlers are not at
 * fault.
 */
const MAX_STALLS = 1_000_000;

/** A claimer that hands each job to `handle`; what it gives is the job's result, what it throws its failure. */
export function createClaimer(options: ClaimOptions, handle: (job: ActiveJob) => Promise<unknown>): Claimer {
  const { connection, lockDurationMs } = options;
  const worker: Worker<unknown, unknown, string, IQueueBackend> = new Worker(
    options.queue,
    async (job: Job, _token?: string, signal?: AbortSignal) => {
      try {
        return await handle(toActiveJob(job, worker.backend, signal));
      } catch (error) {
        throw neverRetried(error) ? unrecoverable(error as Error) : error;
      }
    },
    {
      connection: connection.options,
      prefix: options.prefix,
      name: options.workerName,
      autorun: false,
      concurrency: options.concurrency,
      lockDuration: lockDurationMs,
      stalledInterval: lockDurationMs,
      maxStalledCount: MAX_STALLS,
      removeOnComplete: { age: options.keepCompletedMs / 1000 },
      removeOnFail: { age: options.keepFailedMs / 1000 },
    },
    connection.factory,
  );
  worker.on('error', options.onError);
  return {
    async start() {
      await worker.waitUntilReady();
      worker.run().catch(options.onError);
    },
    close: (force) => worker.close(force),
  };
}

function toActiveJob(job: Job, backend: IQueueBackend, signal: AbortSignal | undefined): ActiveJob {
  return {
    id: job.id ?? '',
    name: job.name,
    queue: job.queueName,
    data: job.data,
    attempt: job.attemptsMade + 1,
    maxAttempts: job.opts.attempts || 1,
    signal: signal ?? new AbortController().signal,
    async childResults() {
      const values = await job.getChildrenValues();
      return new Map(Object.entries(values).map(([key, value]) => [backend.parseNodeKey(key).id, value]));
    },
    async failedChildren() {
      const failures = await job.getIgnoredChildrenFailures();
      return Object.entries(failures).map(([key, reason]) => {
        const { id, queueName } = backend.parseNodeKey(key);
        return { id, queue: queueName, reason };
      });
    },
    async saveFailure(failure) {
      await job.updateData(encodeEnvelope({ ...(job.data as Envelope), failure }));
    },
  };
}

function unrecoverable(error: Error): UnrecoverableError {
  const final = new UnrecoverableError(error.message);
  if (error.stack !== undefined) final.stack = error.stack;
  return final;
}
