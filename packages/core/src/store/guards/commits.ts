/** This guard ensures that commits and reads of a worker for a job arrive, or that the job stays unchanged. */
import { ErrorCode, type IQueueBackend, WaitingError } from 'bullmq';
import { performance, setTimeout } from '../../base/real-timers.js';
import { systemClock } from '../../base/time.js';
import { retryAfter } from '../../base/wait.js';
import { isTransient } from '../engine/drivers.js';
import type { Claim, Claims } from '../held-job.js';
import { retakeLock } from './locks.js';
import { RETRY_MS, retryTransient } from './transient.js';

/** Reads, which may be repeated. */
const READS = ['getProcessedChildrenValues', 'getIgnoredChildrenFailures', 'getDependencyCounts'] as const;

/** Error codes for a job that the worker no longer holds. */
const LOST: ReadonlySet<unknown> = new Set([
  ErrorCode.JobNotExist,
  ErrorCode.JobLockNotExist,
  ErrorCode.JobNotInState,
  ErrorCode.JobLockMismatch,
]);

export interface CommitOptions {
  readonly claims: Claims;
  readonly lockDurationMs: number;
  /** Whether a commit may wait for other transactions of the store: its job keeps its lock meanwhile. */
  readonly commitsMayWait: boolean;
  readonly pause: (ms: number) => Promise<void>;
  /** Returns whether the worker closes: it then waits for the store no longer than a lock lasts. */
  readonly isClosing: () => boolean;
  /** Called with a claim whose job another worker has taken over. */
  readonly onLost: (claim: Claim) => void;
}

/**
 * Makes commits persistent. BullMQ treats any error of a commit as the handler's, and would fail a job that has succeeded.
 *
 * W6: while the store is not ready (it starts, fails over, is full …) a commit is retried without a limit. W7: BullMQ stops
 * renewing a lock when a commit begins, so it is renewed here, also while a commit waits for other transactions. W8, W10: a
 * job that another worker has taken over is left to that worker; an expired lock that no worker has taken is locked again.
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
    backend[name] = (...args: unknown[]) => retryTransient(() => command(...args), limits);
  }
}

const nothing = () => undefined;

/** A commit that has no answer yet. */
interface PendingCommit {
  readonly id: string;
  readonly token: string;
  /** When its lock was renewed or its commit began, in the time of `performance.now()`; infinite during a renewal. */
  lockedAt: number;
}

class Commits {
  readonly #backend: IQueueBackend;
  readonly #options: CommitOptions;
  readonly #pending = new Set<PendingCommit>();
  #isRenewing = false;

  constructor(backend: IQueueBackend, options: CommitOptions) {
    this.#backend = backend;
    this.#options = options;
  }

  /**
   * Returns the result of the command; of `arrived` if an earlier attempt arrived although its answer was lost.
   * @throws {WaitingError} if the worker no longer holds the job: BullMQ then leaves the job unchanged.
   */
  commit<T>(id: string, token: string | undefined, command: () => Promise<T>, arrived: () => T): Promise<T> {
    // Nearly all commits succeed at once, with only one extra promise.
    const stored = command().catch((error: unknown) => this.#persist(id, token, command, arrived, error));
    return this.#options.commitsMayWait && token !== undefined ? this.#locked(id, token, stored) : stored;
  }

  /** Renews the lock of a job while its commit has no answer, and returns the answer. */
  #locked<T>(id: string, token: string, stored: Promise<T>): Promise<T> {
    const pending = { id, token, lockedAt: performance.now() };
    this.#pending.add(pending);
    if (!this.#isRenewing) this.#renewLater();
    return stored.finally(() => this.#pending.delete(pending));
  }

  /** One timer for all commits: each looks which of them have waited for long. */
  #renewLater(): void {
    const { lockDurationMs } = this.#options;
    this.#isRenewing = true;
    setTimeout(() => {
      this.#isRenewing = false;
      const now = performance.now();
      for (const pending of this.#pending) {
        if (now - pending.lockedAt < lockDurationMs / 4) continue;
        pending.lockedAt = Number.POSITIVE_INFINITY;
        void this.#backend
          .extendLock(pending.id, pending.token, lockDurationMs)
          .catch(() => {}) // the commit says whether it was lost
          .then(() => {
            pending.lockedAt = now;
          });
      }
      if (this.#pending.size > 0) this.#renewLater();
    }, lockDurationMs / 4).unref();
  }

  /** Retries a commit after its first error. */
  #persist<T>(
    id: string,
    token: string | undefined,
    command: () => Promise<T>,
    arrived: () => T,
    first: unknown,
  ): Promise<T> {
    const { lockDurationMs, pause, isClosing } = this.#options;
    const settle = (commit: Promise<T>): Promise<T> =>
      commit
        .catch((error: unknown) => this.#withLock(id, token, command, error))
        .catch(async (error: unknown) => {
          if (!LOST.has(codeOf(error))) throw error;
          const claim = token === undefined ? undefined : this.#options.claims.find(id, token);
          if (claim !== undefined && (await this.#hasArrived(claim))) return arrived();
          if (claim !== undefined) this.#options.onLost(claim);
          throw new WaitingError(
            `Job ${id} was taken over by another worker; this attempt's result is ignored.`,
          );
        });
    let deadline = Number.POSITIVE_INFINITY;
    const check = (error: unknown) => {
      if (!isTransient(error)) throw error;
      if (isClosing()) deadline = Math.min(deadline, performance.now() + lockDurationMs);
      if (this.#backend.closing !== undefined || performance.now() > deadline)
        throw new WaitingError(`The outcome of job ${id} could not be stored; the job will run again.`);
    };
    const again = async () => {
      if (token !== undefined) await this.#backend.extendLock(id, token, lockDurationMs).catch(() => {});
      return settle(command());
    };
    const loop = { firstMs: RETRY_MS.first, maxMs: RETRY_MS.max, pause, check };
    return settle(Promise.reject(first)).catch((error: unknown) => retryAfter(error, again, loop));
  }

  /**
   * Returns whether an earlier attempt has moved the job, also one that the client resent after a disconnect. A job leaves
   * its worker only by an outcome or by a sweep, which increments the stall count. It may have been started again since,
   * after its children or for another attempt. A missing job has nothing left to store.
   */
  async #hasArrived({ id, starts, stalls }: Claim): Promise<boolean> {
    const { lockDurationMs, pause } = this.#options;
    const isOver = () => this.#backend.closing !== undefined;
    const backend = this.#backend;
    const read = async () => ({ job: await backend.getJobData(id), state: await backend.getState(id) });
    const { job, state } = await retryTransient(read, { limitMs: lockDurationMs, pause, isOver });
    if (job === undefined) return true;
    const isStillHere = state === 'active' && job.attemptsStarted === starts;
    return !isStillHere && job.stalledCounter === stalls;
  }

  /** Locks the job again and repeats a command that failed because the lock had expired. Throws other errors. */
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
