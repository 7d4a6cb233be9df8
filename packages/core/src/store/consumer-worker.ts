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
import { brokenData } from '../job/envelope.js';
import type { Claim, Claims } from './held-job.js';
import { ReturnedError } from './held-job.js';

type AnyJob = Job<unknown, unknown, string>;
type FailedRest =
  Parameters<Worker['handleFailed']> extends [unknown, unknown, unknown, unknown?, ...infer Rest]
    ? Rest
    : never;

/** What the store answers a worker that takes a job. */
type HandedOut = readonly [data?: JobJson, id?: string, limitMs?: number, dueAt?: number];

/** BullMQ notes by it for how long it need not ask; it is private there. */
interface WithDelays {
  updateDelays(limitMs?: number, dueAt?: number): void;
}

export interface ConsumerWorkerOptions {
  readonly claims: Claims;
  readonly onLost: (claim: Claim) => void;
  readonly backend: BackendFactory<IQueueBackend>;
  /** Whether nobody else takes jobs from this store: the worker then sets no timer of its own. */
  readonly isUnshared: boolean;
}

/** BullMQ's worker, which notes what it holds, and takes jobs that cannot be read for jobs that cannot be run. */
export class ConsumerWorker extends Worker<unknown, unknown, string, IQueueBackend> {
  readonly #claims: Claims;
  readonly #onLost: (claim: Claim) => void;
  #askedAt = performance.now();

  constructor(
    queue: string,
    processor: Processor<unknown, unknown, string>,
    options: WorkerOptions,
    { claims, onLost, backend, isUnshared }: ConsumerWorkerOptions,
  ) {
    super(queue, processor, options, isUnshared ? (...args) => withoutReady(backend(...args)) : backend);
    this.#claims = claims;
    this.#onLost = onLost;
    this.#renewsByOwnClock();
  }

  /** For how long it has not asked for a job, nor was it given one. */
  get sinceAskedMs(): number {
    return performance.now() - this.#askedAt;
  }

  protected override moveToActive(token: string, name?: string): Promise<AnyJob> {
    this.#askedAt = performance.now();
    return super.moveToActive(token, name);
  }

  override processJob(job: AnyJob, token: string, fetchNext?: () => boolean): Promise<void | AnyJob> {
    this.#askedAt = performance.now();
    const id = job.id ?? '';
    // W8: that the job is handed out again shows that an earlier run of it here has lost its lock.
    for (const earlier of this.#claims.of(id)) this.#onLost(earlier);
    const claim = this.#claims.hold(job, token);
    return super.processJob(job, token, fetchNext).then(
      (next) => {
        this.#release(claim);
        return next;
      },
      (error: unknown) => {
        this.#release(claim);
        throw error;
      },
    );
  }

  /**
   * BullMQ gives a job back by one command, and asks for the next one by another, as if a job that comes back were rare:
   * a schedule does so after each of its slots.
   */
  protected override async handleFailed(
    error: Error,
    job: AnyJob,
    token: string,
    fetchNext: () => boolean = () => true,
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
    } catch (left) {
      // It is not this worker's any more, or the store will hand it out again.
      if (!(left instanceof WaitingError)) throw left;
      return super.handleFailed(left, job, token, () => takesNext, ...rest);
    }
    // Nothing was handed out: as where BullMQ does not ask.
    if (!Array.isArray(answer)) return undefined as unknown as AnyJob;
    const [data, id, limitMs, dueAt] = answer as unknown as HandedOut;
    (this as unknown as WithDelays).updateDelays(limitMs, dueAt);
    return this.nextJobFromJobData(data, id, token);
  }

  /**
   * W22: BullMQ compares when a job was started, which is in the store's time, with this machine's clock; of one that is
   * behind it would renew no lock until it has caught up.
   */
  #renewsByOwnClock(): void {
    const { lockManager } = this;
    const trackJob = lockManager.trackJob.bind(lockManager);
    lockManager.trackJob = (id, token, _startedAt, ...rest) =>
      trackJob(id, token, systemClock.now(), ...rest);
  }

  #release(claim: Claim): void {
    this.#claims.release(claim);
    // BullMQ renews locks by job id, and has stopped with this run's the later one's.
    for (const { id, token } of this.#claims.of(claim.id))
      this.lockManager.trackJob(id, token, systemClock.now());
  }

  /**
   * W21: BullMQ would throw where it reads the data of a job, outside of the processor, and the job would come back for
   * ever. W20: of a job that the store has evicted, what its worker writes is left: without a name.
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
    const opts = json.opts ?? {}; // as it is after an eviction
    return super.createJob(
      { ...json, name: json.name || 'unknown', opts, data: JSON.stringify(brokenData(reason)) },
      jobId,
    );
  }
}

/**
 * BullMQ's constructor asks first, to emit `ready` by a timer. Nobody here listens, and the timer would be taken for
 * work that goes on, and outlive the worker.
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
