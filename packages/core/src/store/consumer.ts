/** This module takes jobs from one queue, passes them to the worker's handler, and stores their outcomes. */
import { EventEmitter, once } from 'node:events';
import { type Job, WaitingChildrenError, type WorkerOptions } from 'bullmq';
import { ConnectionError } from '../base/errors.js';
import { LockLostError } from '../base/failures.js';
import { LinkedItems } from '../base/linked-list.js';
import { describe } from '../base/text.js';
import { toError } from '../codec/error-record.js';
import { type Envelope, type EnvelopeContent, isEnvelope } from '../job/envelope.js';
import type { ActiveJob, AttemptOutcome, UnreadableJob } from '../job/job.js';
import { ConsumerWorker } from './consumer-worker.js';
import { IDLE_WAIT_S } from './engine/commands.js';
import { driverOf, isTransient } from './engine/drivers.js';
import { retryTransient } from './guards/transient.js';
import { guardWorker } from './guards/worker-backend.js';
import {
  type Claim,
  Claims,
  HeldJob,
  type HeldJobAccess,
  KEPT_LOG_LINES,
  ReturnedError,
  toBullError,
} from './held-job.js';
import { mergeData } from './job-options.js';
import type { EndedSet } from './primitives/ended-jobs.js';
import { type BackendOptions, connect } from './queue-pool.js';

export interface ConsumerOptions extends BackendOptions {
  readonly queue: string;
  readonly workerName: string;
  readonly concurrency: number;
  /** If a lock is not renewed for this long, its worker counts as dead and the job runs again elsewhere. */
  readonly lockDurationMs: number;
  /** Called with the retention of an ended job that has its own. */
  readonly onKept: (set: EndedSet, ms: number) => void;
  /** Handles jobs of other programs; without it they return to their queue. */
  readonly foreign: ForeignHandler | undefined;
  /** Starts a job that waits for its children. */
  readonly wake: (job: ActiveJob) => Promise<void>;
  /** Returns content to store with a job whose lock was lost while its worker is alive; `start` is the number of its start. */
  readonly spare: ((content: Envelope, start: number) => Partial<EnvelopeContent> | undefined) | undefined;
  /** Called with a job that was failed because its record is unreadable. */
  readonly onUnreadable: (job: UnreadableJob, error: Error) => Promise<void>;
  readonly warn: (message: string) => void;
}

/** A job that Umbel did not add, in the form that BullMQ's workers receive. */
export type ForeignJob = Job<unknown, unknown, string>;
/** Handles a job that Umbel did not add. Its return value or error is the outcome of the job. */
export type ForeignHandler = (job: ForeignJob) => unknown;

/** Delay of a returned job of another program, so that other workers of its queue can take it. */
const FOREIGN_RETURN_MS = 5_000;

/** Takes jobs from one queue until it is closed. */
export interface QueueConsumer {
  start(): Promise<void>;
  /** Aborts the attempt at a job if it runs here. */
  giveUp(id: string, reason: Error): void;
  /** Aborts every attempt that runs here. */
  giveUpAll(reason: (id: string) => Error): void;
  readonly concurrency: number;
  /** Changes the concurrency at once, also to a higher number while all slots are busy. */
  setConcurrency(concurrency: number): Promise<void>;
  /** Returns the time since the store was last asked for a job, in milliseconds. */
  sinceAskedMs(): number;
  /** Stops taking jobs, waits for running ones (not with `force`), and disconnects. */
  close(force?: boolean): Promise<void>;
}

/**
 * W2: BullMQ counts stalls over the whole life of a job and for every job of a killed process, so a limit would fail
 * innocent jobs. `worker/poison.ts` finds the jobs that crash workers.
 */
const MAX_STALLS = 1_000_000;

/** Delay before BullMQ asks for jobs again after a refused connection. */
const RECONNECT_MS = 1000;

/** Returns a consumer that passes each job to `handle` and stores the outcome. */
export function createConsumer(
  options: ConsumerOptions,
  handle: (job: ActiveJob) => Promise<AttemptOutcome>,
): QueueConsumer {
  return new BullConsumer(options, handle);
}

class BullConsumer implements QueueConsumer {
  readonly #options: ConsumerOptions;
  readonly #handle: (job: ActiveJob) => Promise<AttemptOutcome>;
  readonly #isOurs: (job: ForeignJob) => boolean;
  readonly #claims = new Claims();
  readonly #held = new LinkedItems<HeldJob>();
  readonly #closing = new EventEmitter();
  readonly #worker: ConsumerWorker;
  readonly #access: HeldJobAccess;
  #isClosing = false;
  #isReturning = false;

  constructor(options: ConsumerOptions, handle: (job: ActiveJob) => Promise<AttemptOutcome>) {
    this.#options = options;
    this.#handle = handle;
    this.#isOurs = foreignCheck(options);
    const onLost = (claim: Claim) => this.#lose(claim);
    const sweepIntervalMs = options.lockDurationMs / 2;
    this.#worker = new ConsumerWorker(
      options.queue,
      (job) => this.#process(job),
      { ...workerOptions(options), stalledInterval: sweepIntervalMs },
      {
        claims: this.#claims,
        onLost,
        isUnshared: options.isUnshared === true,
        backend: (...args) =>
          guardWorker(connect(options, ...args), {
            claims: this.#claims,
            lockDurationMs: options.lockDurationMs,
            sweepIntervalMs,
            onKept: options.onKept,
            pause: options.pause,
            time: options.time,
            isClosing: () => this.#isClosing,
            onLost,
            onUnreadable: (id, error) => this.#unreadable(id, error),
          }),
      },
    );
    this.#worker.on('error', options.onError);
    this.#access = {
      backend: this.#worker.backend,
      repeat: (job, command) => this.#repeatWhileHeld(job, command),
    };
  }

  async start(): Promise<void> {
    if (this.#isClosing) return;
    const closed = once(this.#closing, 'close');
    await Promise.race([this.#worker.waitUntilReady(), closed]);
    if (!this.#isClosing) await driverOf(this.#worker.backend)?.prepare(this.#worker.backend);
    if (!this.#isClosing) this.#worker.run().catch(this.#options.onError);
  }

  giveUp(id: string, reason: Error): void {
    for (const job of this.#held) if (job.id === id) job.giveUp(reason);
  }

  giveUpAll(reason: (id: string) => Error): void {
    this.#isReturning = true;
    for (const job of this.#held) job.giveUp(reason(job.id));
  }

  get concurrency(): number {
    return this.#worker.concurrency;
  }

  async setConcurrency(concurrency: number): Promise<void> {
    if (concurrency === this.#worker.concurrency) return;
    this.#worker.concurrency = concurrency;
    this.#worker.opts.concurrency = concurrency; // which its backend reads
    // BullMQ reads the number when a job ends; pausing makes it read it now.
    await this.#worker.pause(true);
    await this.#worker.resume();
  }

  sinceAskedMs(): number {
    return this.#worker.sinceAskedMs;
  }

  async close(force?: boolean): Promise<void> {
    this.#isClosing = true;
    this.#closing.emit('close');
    const closed = this.#worker.close(force);
    if (!force) {
      await Promise.race([closed, once(this.#closing, 'force')]);
      return;
    }
    this.#closing.emit('force');
    for (const job of this.#held) job.abort(new Error('the worker was closed'));
    // Ends an earlier close that still waits for running jobs.
    await this.#worker.backend.close(true);
  }

  async #process(job: ForeignJob): Promise<unknown> {
    const { foreign } = this.#options;
    if (!this.#isOurs(job)) {
      if (foreign === undefined) throw new ReturnedError(FOREIGN_RETURN_MS);
      return handleForeign(foreign, job);
    }
    const claimed = new HeldJob(job, this.#claims.find(job.id ?? '', job.token ?? ''), this.#access);
    const held = this.#held.add(claimed);
    try {
      // A job may arrive after all others were aborted, such as one that this worker has just returned: it must not start.
      if (this.#isReturning) return toBullError(job, { kind: 'returned', delayMs: 0 });
      for (;;) {
        const outcome = await this.#handle(claimed);
        if (outcome.kind === 'completed') return outcome.value;
        if (outcome.kind !== 'waiting') return toBullError(job, outcome);
        if (!(await claimed.waitForChildren())) continue;
        await wakeIfFailed(this.#options, claimed, outcome.seen);
        throw new WaitingChildrenError();
      }
    } catch (thrown) {
      throw toError(thrown); // a codec may throw a string
    } finally {
      this.#held.remove(held);
    }
  }

  async #unreadable(id: string, error: Error): Promise<void> {
    const { queue, onUnreadable } = this.#options;
    const log = async (line: string) => {
      await this.#worker.backend.addLog(id, line, KEPT_LOG_LINES);
    };
    await onUnreadable({ id, queue, log }, error);
  }

  /** Aborts an attempt whose job another worker has taken over. */
  #lose(claim: Claim): void {
    const { id, token } = claim;
    for (const job of this.#held) if (job.id === id && job.token === token) job.giveUp(new LockLostError(id));
    if (claim.isLost) return;
    claim.isLost = true;
    if (claim.isCharged?.() !== true) void this.#spare(claim);
  }

  /** Stores with a job that its worker is alive, so that the loss does not count for the poison rule. */
  async #spare({ id, starts }: Claim): Promise<void> {
    const { spare } = this.#options;
    if (spare === undefined) return;
    const next = (data: Envelope) => {
      const content = spare(data, starts);
      return content && { ...data, ...content };
    };
    try {
      const { lockDurationMs: limitMs, pause } = this.#options;
      const isOver = () => this.#worker.backend.closing !== undefined;
      await retryTransient(() => mergeData(this.#worker.backend, id, next), { limitMs, pause, isOver });
    } catch {
      // The store is unreachable: this loss counts like the death of a worker.
    }
  }

  /**
   * Runs a command for a job and retries it while the job is held here: its handler may have finished, and must not run
   * again because the store refuses writes for a while (W10). A closing worker retries for the duration of a lock.
   */
  async #repeatWhileHeld<T>(job: HeldJob, command: () => Promise<T>): Promise<T> {
    const { lockDurationMs, pause, outages } = this.#options;
    let deadline = Number.POSITIVE_INFINITY;
    const isOver = () => {
      if (this.#isClosing) deadline = Math.min(deadline, performance.now() + lockDurationMs);
      return this.#worker.backend.closing !== undefined || job.isGivenUp || performance.now() > deadline;
    };
    try {
      return await retryTransient(command, { limitMs: Number.POSITIVE_INFINITY, pause, isOver });
    } catch (cause) {
      if (!isTransient(cause)) throw cause;
      const error = new ConnectionError('The store is unavailable for what this job needs.', { cause });
      outages.add(error);
      throw error;
    }
  }
}

/**
 * Returns the result of a job of another program.
 *
 * BullMQ reads fields of the thrown value. It stores a thrown string as "null", and cannot store the failure of a job
 * whose processor threw `undefined` or `null`: the job stays active and returns after each stall.
 */
async function handleForeign(handle: ForeignHandler, job: ForeignJob): Promise<unknown> {
  try {
    return await handle(job);
  } catch (thrown) {
    throw toError(thrown);
  }
}

function workerOptions(options: ConsumerOptions): WorkerOptions {
  return {
    connection: options.connection.options,
    prefix: options.prefix,
    name: options.workerName,
    autorun: false,
    concurrency: options.concurrency,
    lockDuration: options.lockDurationMs,
    maxStalledCount: MAX_STALLS,
    runRetryDelay: RECONNECT_MS,
    drainDelay: IDLE_WAIT_S,
    ...(options.isUnshared && { skipLockRenewal: true, skipStalledCheck: true }),
  };
}

/** Returns a check for Umbel's jobs. It warns once about jobs of other programs if nothing handles them here. */
function foreignCheck({ queue, foreign, warn }: ConsumerOptions): (job: ForeignJob) => boolean {
  let hasWarned = foreign !== undefined;
  return (job) => {
    if (isEnvelope(job.data)) return true;
    if (!hasWarned) {
      warn(
        `queue "${queue}" holds jobs of another program (such as ${describe(job.name)}); they were left in the queue. ` +
          'To handle them here, pass app.worker({ onForeignJob }).',
      );
    }
    hasWarned = true;
    return false;
  };
}

/** Starts a parent whose child failed at the moment when the parent began to wait: the child found it still active. */
async function wakeIfFailed(
  { wake, onError }: ConsumerOptions,
  job: HeldJob,
  seen: number | undefined,
): Promise<void> {
  try {
    if (seen !== undefined && (await job.failedChildrenCount()) > seen) await wake(job);
  } catch (cause) {
    // The job waits already, so this error is not the job's. Its last child starts it.
    onError(new Error(`job ${job.id} could not be started again at once`, { cause }));
  }
}
