import { EventEmitter, once } from 'node:events';
import { type IQueueBackend, type Job, UnrecoverableError, Worker } from 'bullmq';
import type { ActiveJob } from '../running/job.js';
import { neverRetried } from '../tasks/retry.js';
import { toError } from '../wire/error-record.js';
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
        throw forBullMQ(toError(error));
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
  const closing = new EventEmitter();
  let isClosing = false;
  return {
    async start() {
      const closed = once(closing, 'close');
      await Promise.race([worker.waitUntilReady(), closed]);
      if (!isClosing) worker.run().catch(options.onError);
    },
    async close(force) {
      isClosing = true;
      closing.emit('close');
      const closed = worker.close(force);
      if (!force) {
        await Promise.race([closed, once(closing, 'force')]);
        return;
      }
      closing.emit('force');
      for (const job of held) job.abort(new Error('the worker was closed'));
      // A close that waits for running jobs may be under way: then this one cuts it short.
      await worker.backend.close(true);
    },
  };
}

/**
 * The error in the form that BullMQ takes for a failure and nothing else: it reads commands into some names of errors
 * and into one message, which a handler may throw without knowing.
 */
function forBullMQ(error: Error): Error {
  const message = error.message.startsWith('bullmq:') ? `${error.name}: ${error.message}` : error.message;
  const failure = neverRetried(error) ? new UnrecoverableError(message) : new Error(message);
  if (error.stack !== undefined) failure.stack = error.stack;
  return failure;
}
