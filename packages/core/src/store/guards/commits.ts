/** What a worker writes and reads for a job arrives, or the job is left as it is. */
import { ErrorCode, type IQueueBackend, WaitingError } from 'bullmq';
import { performance } from '../../base/real-timers.js';
import { systemClock } from '../../base/time.js';
import type { Claim, Claims } from '../held-job.js';
import { retakeLock } from './locks.js';
import { isTransient, RETRY_MS, repeat } from './transient.js';

/** Reads, which may be repeated as they are. */
const READS = ['getProcessedChildrenValues', 'getIgnoredChildrenFailures', 'getDependencyCounts'] as const;

/** What says that a job is not the worker's any more. */
const LOST: ReadonlySet<unknown> = new Set([
  ErrorCode.JobNotExist,
  ErrorCode.JobLockNotExist,
  ErrorCode.JobNotInState,
  ErrorCode.JobLockMismatch,
]);

export interface CommitOptions {
  readonly claims: Claims;
  readonly lockDurationMs: number;
  readonly pause: (ms: number) => Promise<void>;
  /** The worker is to end: it waits for the store no longer than a lock lasts. */
  readonly isClosing: () => boolean;
  /** Receives a claim whose job another worker has taken. */
  readonly onLost: (claim: Claim) => void;
}

/**
 * BullMQ takes any error of a commit for the handler's, and would make a failed job of one that has succeeded.
 *
 * W6: while the store is not ready (it starts, fails over, is full …) a commit is tried again, however long. W7: BullMQ
 * stops renewing a lock when it begins to commit, so it is renewed here meanwhile. W8, W10: a job that was taken by
 * another worker is left to that one; a lock that ran out unnoticed is taken again.
 */
export function persistsCommits(backend: IQueueBackend, options: CommitOptions): void {
  const commits = new Commits(backend, options);
  const { moveToCompleted, moveToFailed, moveToDelayed, moveToWaitingChildren, retryJob } = backend;
  const finished = () => ({ result: undefined, finishedOn: systemClock.now() });
  backend.moveToCompleted = (...args) => {
    const [job, , , token] = args;
    return commits.commit(job.id ?? '', token, () => moveToCompleted.apply(backend, args), finished);
  };
  backend.moveToFailed = (...args) => {
    const [job, , , token] = args;
    return commits.commit(job.id ?? '', token, () => moveToFailed.apply(backend, args), finished);
  };
  backend.moveToDelayed = (...args) => {
    const [id, , , token] = args;
    return commits.commit(id, token, () => moveToDelayed.apply(backend, args), nothing);
  };
  backend.moveToWaitingChildren = (...args) => {
    const [id, token] = args;
    return commits.commit(
      id,
      token,
      () => moveToWaitingChildren.apply(backend, args),
      () => true,
    );
  };
  backend.retryJob = (...args) => {
    const [id, , token] = args;
    return commits.commit(id, token, () => retryJob.apply(backend, args), nothing);
  };
  const limits = {
    limitMs: options.lockDurationMs,
    pause: options.pause,
    isOver: () => backend.closing !== undefined,
  };
  for (const name of READS) {
    const command = backend[name].bind(backend) as (...args: unknown[]) => Promise<never>;
    backend[name] = (...args: unknown[]) => repeat(() => command(...args), limits);
  }
}

const nothing = () => undefined;

class Commits {
  readonly #backend: IQueueBackend;
  readonly #options: CommitOptions;

  constructor(backend: IQueueBackend, options: CommitOptions) {
    this.#backend = backend;
    this.#options = options;
  }

  /**
   * What the command gives; `arrived` if an earlier try has arrived although its answer was lost.
   * @throws {WaitingError} by which BullMQ leaves a job alone, if it is not the worker's any more.
   */
  commit<T>(id: string, token: string | undefined, command: () => Promise<T>, arrived: () => T): Promise<T> {
    // Nearly all arrive at once: they get by with one promise more.
    return command().catch((error: unknown) => this.#persist(id, token, command, arrived, error));
  }

  /** The same, after a first try that has ended with an error. */
  async #persist<T>(
    id: string,
    token: string | undefined,
    command: () => Promise<T>,
    arrived: () => T,
    first: unknown,
  ): Promise<T> {
    const { lockDurationMs, pause, isClosing } = this.#options;
    let next = () => this.#withLock(id, token, command, first);
    let deadline = Number.POSITIVE_INFINITY;
    for (let pauseMs = RETRY_MS.first; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS.max)) {
      try {
        return await next();
      } catch (error) {
        if (LOST.has(codeOf(error))) {
          const claim = token === undefined ? undefined : this.#options.claims.find(id, token);
          if (claim !== undefined && (await this.#hasArrived(claim))) return arrived();
          if (claim !== undefined) this.#options.onLost(claim);
          throw new WaitingError(
            `Job ${id} was taken over by another worker; this attempt's result is ignored.`,
          );
        }
        if (!isTransient(error)) throw error;
        if (isClosing()) deadline = Math.min(deadline, performance.now() + lockDurationMs);
        if (this.#backend.closing !== undefined || performance.now() > deadline)
          throw new WaitingError(`The outcome of job ${id} could not be stored; the job will run again.`);
        await pause(pauseMs);
        if (token !== undefined) await this.#backend.extendLock(id, token, lockDurationMs).catch(() => {});
        next = () => command().catch((again: unknown) => this.#withLock(id, token, command, again));
      }
    }
  }

  /**
   * Whether an earlier try has moved the job, also one that the client has sent again by itself after a cut: a job leaves
   * its worker only by an outcome or by a sweep, which counts. It may have been started again since, after its children or
   * for another attempt. One that is gone has nothing left to store.
   */
  async #hasArrived({ id, starts, stalls }: Claim): Promise<boolean> {
    const { lockDurationMs, pause } = this.#options;
    const isOver = () => this.#backend.closing !== undefined;
    const backend = this.#backend;
    const read = async () => ({ job: await backend.getJobData(id), state: await backend.getState(id) });
    const { job, state } = await repeat(read, { limitMs: lockDurationMs, pause, isOver });
    if (job === undefined) return true;
    const isStillHere = state === 'active' && job.attemptsStarted === starts;
    return !isStillHere && job.stalledCounter === stalls;
  }

  /** What the command gives once more, if it has failed because the lock of its job had run out. @throws its error else. */
  async #withLock<T>(
    id: string,
    token: string | undefined,
    command: () => Promise<T>,
    error: unknown,
  ): Promise<T> {
    const { claims, lockDurationMs } = this.#options;
    if (token === undefined || codeOf(error) !== ErrorCode.JobLockNotExist) throw error;
    const claim = claims.find(id, token);
    if (claim === undefined || !(await retakeLock(this.#backend, claim, lockDurationMs))) throw error;
    return command();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
