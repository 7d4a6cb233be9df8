/**
 * This module extends BullMQ's worker: it records claims, fails unreadable jobs with a reason instead of looping, and
 * returns jobs with one command. `QueueConsumer` uses it.
 */
import {
  type BackendFactory,
  type IQueueBackend,
  type Job,
  type JobJson,
  type Processor,
  WaitingError,
  Worker,
  type WorkerOptions,
} from 'bullmq';
import { performance } from '../base/real-timers.js';
import { systemClock } from '../base/time.js';
import { brokenData, isEnvelope } from '../job/envelope.js';
import { type ClaimDetails, claimDetailsOf, takeClaimDetails } from './claim-details.js';
import { driverOf } from './engine/drivers.js';
import { type Claim, type Claims, ReturnedError } from './held-job.js';

type AnyJob = Job<unknown, unknown, string>;
type FailedRest =
  Parameters<Worker['handleFailed']> extends [unknown, unknown, unknown, unknown?, ...infer Rest]
    ? Rest
    : never;

/** Answer of the store to a worker that asks for a job. */
type NextJobAnswer = readonly [data?: JobJson, id?: string, limitMs?: number, dueAt?: number];

/** Private parts of BullMQ's worker. */
interface WorkerState {
  /** Whether the queue was empty at the last answer: then the worker waits for a job instead of asking for one. */
  drained: boolean;
  /** Stores how long the worker need not ask for jobs. */
  updateDelays(limitMs?: number, dueAt?: number): void;
  /** Repeats a step after errors of the connection, and reports other errors. */
  retryIfFailed(
    step: () => Promise<AnyJob>,
    options: { delayInMs: number | undefined; onlyEmitError?: true },
  ): Promise<AnyJob>;
}

/** Private part of BullMQ's worker. */
interface MainLoop {
  /** Jobs that run here or will, in the order in which they were claimed; null or undefined while it takes no jobs. */
  readonly mainLoopQueue?: { add(job: Promise<AnyJob | undefined>): void; numTotal(): number } | null;
}

export interface ConsumerWorkerOptions {
  readonly claims: Claims;
  readonly onLost: (claim: Claim) => void;
  readonly backend: BackendFactory<IQueueBackend>;
  /** Whether no other process takes jobs from this store: then the worker sets no timer. */
  readonly isUnshared: boolean;
}

/** BullMQ's worker that records its claims and treats unreadable jobs as jobs that cannot be run. */
export class ConsumerWorker extends Worker<unknown, unknown, string, IQueueBackend> {
  readonly #claims: Claims;
  readonly #onLost: (claim: Claim) => void;
  readonly #claimDetails: Map<string, ClaimDetails>;
  #askedAt = performance.now();
  /** 0 after a claim found nothing or the last job: then the next one is alone, and so is the one after it, as the steps of a chain come. */
  #claimsAtOnce = 0;
  #aheadCount = 0;

  constructor(
    queue: string,
    processor: Processor<unknown, unknown, string>,
    options: WorkerOptions,
    { claims, onLost, backend, isUnshared }: ConsumerWorkerOptions,
  ) {
    super(queue, processor, options, isUnshared ? (...args) => withoutReady(backend(...args)) : backend);
    this.#claims = claims;
    this.#onLost = onLost;
    this.#claimDetails = claimDetailsOf(this.backend);
    this.#renewsByOwnClock();
  }

  /** Time in milliseconds since it last asked for a job or received one. */
  get sinceAskedMs(): number {
    return performance.now() - this.#askedAt;
  }

  /**
   * Claims a job. While claims succeed and places are free, it claims more jobs at the same time, which share a command.
   * BullMQ claims one after the other, each with a round trip.
   */
  protected override async moveToActive(token: string, name?: string): Promise<AnyJob> {
    this.#askedAt = performance.now();
    const { mainLoopQueue } = this as unknown as MainLoop;
    const ahead = this.#claimsAhead(mainLoopQueue);
    const tokens = Array.from({ length: ahead }, () => `${this.id}:ahead-${this.#aheadCount++}`);
    const claims = [...tokens, token].map((one) => super.moveToActive(one, name));
    const all = Promise.allSettled(claims);
    // BullMQ runs what it finds here, also when it closes, and in this order: what this method returns arrives there last.
    for (const claim of claims.slice(0, ahead))
      mainLoopQueue?.add(all.then(() => claim.catch(() => undefined)));
    const isEach = (await all).every((claim) => claim.status === 'fulfilled' && claim.value);
    const { drained } = this as unknown as WorkerState;
    this.#claimsAtOnce = isEach && !drained ? 2 * (this.#claimsAtOnce === 0 ? 0.5 : claims.length) : 0;
    return claims[ahead] as Promise<AnyJob>; // if the command failed, with the same error as the others
  }

  /** Returns how many jobs to claim besides the one that BullMQ asks for: its queue holds one job for each taken place. */
  #claimsAhead(queue: MainLoop['mainLoopQueue']): number {
    if (queue === null || queue === undefined || this.closing !== undefined || this.paused) return 0;
    const { claimsAtOnce = 1 } = driverOf(this.backend) ?? {};
    return Math.max(0, Math.min(this.#claimsAtOnce, claimsAtOnce, this.concurrency - queue.numTotal()) - 1);
  }

  override processJob(job: AnyJob, token: string, fetchNext = always): Promise<void | AnyJob> {
    this.#askedAt = performance.now();
    // W8: receiving the job again shows that an earlier attempt here has lost its lock.
    const claim = this.#claims.hold(job, token, this.#onLost);
    if (job.deferredFailure === undefined && isEnvelope(job.data))
      return this.#processOwn(job, claim, token, fetchNext);
    return super.processJob(job, token, fetchNext).finally(() => this.#release(claim));
  }

  /**
   * Does the same as BullMQ for one of Umbel's jobs, without the spans, the events and the second JSON text of the result
   * that nothing here uses: they cost as much as the rest of a small job.
   */
  async #processOwn(
    job: AnyJob,
    claim: Claim,
    token: string,
    fetchNext: () => boolean,
  ): Promise<void | AnyJob> {
    const { id } = claim;
    const { lockManager } = this;
    const { retryIfFailed } = this as unknown as WorkerState;
    const delayInMs = this.opts.runRetryDelay;
    try {
      lockManager.trackJob(id, token, job.processedOn ?? 0);
      const result = await this.processFn(job, token);
      lockManager.untrackJob(id);
      try {
        if (this.backend.closing !== undefined) return;
        const takesNext = fetchNext() && this.closing === undefined && !this.paused;
        const { removeOnComplete = false } = job.opts;
        const answer = await this.backend.moveToCompleted(job, result, removeOnComplete, token, takesNext);
        if (!Array.isArray(answer.result)) return;
        const next = this.#next(answer.result, token);
        return next instanceof Promise ? await next : next;
      } catch (error) {
        // BullMQ decides about the error, and commits again if the connection caused it.
        const commit = failingFirst(error, () => this.handleCompleted(result, job, token, fetchNext));
        return await retryIfFailed.call(this, commit, { delayInMs });
      }
    } catch (error) {
      const fail = () => {
        lockManager.untrackJob(id);
        return this.handleFailed(error as Error, job, token, fetchNext); // the consumer and the guards throw only errors
      };
      return await retryIfFailed.call(this, fail, { delayInMs, onlyEmitError: true });
    } finally {
      this.#release(claim);
    }
  }

  /** Returns the next job of an answer. */
  #next(answer: unknown[], token: string): AnyJob | Promise<AnyJob> {
    const [data, id, limitMs, dueAt] = answer as unknown as NextJobAnswer;
    (this as unknown as WorkerState).updateDelays(limitMs, dueAt);
    return this.#own(data, id, token) ?? super.nextJobFromJobData(data, id, token);
  }

  protected override async nextJobFromJobData(data?: JobJson, id?: string, token?: string): Promise<AnyJob> {
    return this.#own(data, id, token) ?? super.nextJobFromJobData(data, id, token);
  }

  /** Returns a fetched job; undefined if there is none, or if it belongs to a scheduler of BullMQ, which adds the next one. */
  #own(data: JobJson | undefined, id: string | undefined, token: string | undefined): AnyJob | undefined {
    if (!data || data.repeatJobKey) return undefined;
    const job = this.createJob(data, id ?? '');
    job.token = token ?? '';
    // Whoever adds a job wakes the worker.
    (this as unknown as WorkerState).drained = takeClaimDetails(this.#claimDetails, job);
    return job;
  }

  /**
   * Returns a job to its queue and asks for the next one with one command. BullMQ uses two, but schedules return after each
   * occurrence.
   */
  protected override async handleFailed(
    error: Error,
    job: AnyJob,
    token: string,
    fetchNext: () => boolean = always,
    ...rest: FailedRest
  ): Promise<AnyJob> {
    if (!(error instanceof ReturnedError) || this.backend.closing !== undefined)
      return super.handleFailed(error, job, token, fetchNext, ...rest);
    const takesNext = fetchNext() && this.closing === undefined && !this.paused;
    const options = { skipAttempt: true, fetchNext: takesNext };
    let answer: unknown[] | void;
    try {
      const now = systemClock.now();
      answer = await this.backend.moveToDelayed(job.id ?? '', now, error.delayMs, token, options);
    } catch (lost) {
      // Another worker holds the job, or the store will hand it out again.
      if (!(lost instanceof WaitingError)) throw lost;
      return super.handleFailed(lost, job, token, () => takesNext, ...rest);
    }
    // No next job: return the same value as BullMQ without a fetch.
    if (!Array.isArray(answer)) return undefined as unknown as AnyJob;
    return this.#next(answer, token);
  }

  /**
   * W22: BullMQ compares the start of a job, in the store's time, with the clock of this machine. If that clock is behind,
   * BullMQ would not renew locks until it has caught up.
   */
  #renewsByOwnClock(): void {
    const { lockManager } = this;
    const trackJob = lockManager.trackJob.bind(lockManager);
    lockManager.trackJob = (id, token, _startedAt, ...rest) =>
      trackJob(id, token, systemClock.now(), ...rest);
  }

  #release(claim: Claim): void {
    // BullMQ renews locks by job id, so ending this attempt has also stopped the renewal for a later one.
    for (const { id, token } of this.#claims.release(claim))
      this.lockManager.trackJob(id, token, systemClock.now());
  }

  /**
   * W21: BullMQ would throw when it reads the data of a job, outside the processor, and the job would come back forever.
   * W20: of an evicted job, only the fields that a worker wrote later remain, without a name.
   */
  protected override createJob(json: JobJson, jobId: string): AnyJob {
    if (typeof json.name !== 'string' || json.name === '')
      return this.#broken(json, jobId, 'its record is gone from the store');
    try {
      return super.createJob(json, jobId);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return this.#broken(json, jobId, `its data is not valid JSON: ${error.message}`);
    }
  }

  #broken(json: JobJson, jobId: string, reason: string): AnyJob {
    const opts = json.opts ?? {}; // absent after an eviction
    return super.createJob(
      { ...json, name: json.name || 'unknown', opts, data: JSON.stringify(brokenData(reason)) },
      jobId,
    );
  }
}

function always(): boolean {
  return true;
}

/** Returns a step that rejects with the error at its first call. */
function failingFirst<T>(error: unknown, step: () => Promise<T>): () => Promise<T> {
  let isFirst = true;
  return () => {
    if (!isFirst) return step();
    isFirst = false;
    return Promise.reject(error);
  };
}

/**
 * Skips the first wait of BullMQ's constructor, which emits `ready` by a timer. Nothing listens here, and the timer would
 * count as pending work and outlive the worker.
 */
function withoutReady(backend: IQueueBackend): IQueueBackend {
  const waitUntilReady = backend.waitUntilReady.bind(backend);
  let isFirst = true;
  backend.waitUntilReady = () => {
    if (!isFirst) return waitUntilReady();
    isFirst = false;
    return new Promise(() => {});
  };
  return backend;
}
