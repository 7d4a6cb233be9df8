import { type IQueueBackend, type Job, UnrecoverableError, Worker } from 'bullmq';
import type { ActiveJob } from '../job.js';
import { neverRetried } from '../retry.js';
import { ClaimedJob } from './claimed-job.js';
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
  const held = new Set<ClaimedJob>();
  const worker: Worker<unknown, unknown, string, IQueueBackend> = new Worker(
    options.queue,
    async (job: Job) => {
      const claimed = new ClaimedJob(job, worker.backend);
      held.add(claimed);
      try {
        return await handle(claimed);
      } catch (error) {
        throw neverRetried(error) ? unrecoverable(error as Error) : error;
      } finally {
        held.delete(claimed);
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
    async close(force) {
      if (force) for (const job of held) job.abort(new Error('the worker was closed'));
      await worker.close(force);
    },
  };
}

function unrecoverable(error: Error): UnrecoverableError {
  const final = new UnrecoverableError(error.message);
  if (error.stack !== undefined) final.stack = error.stack;
  return final;
}
