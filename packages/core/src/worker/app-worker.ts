/**
 * The public interface of a worker, and the signal handling and messages that every kind of worker shares.
 * It loads no worker code, because programs that only send import it too.
 */

import { ClosedError } from '../base/errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { Duration } from '../base/time.js';
import type { ActiveAttempt, AttemptCounts } from '../control/answers.js';
import type { RepairCounts } from '../store/repair.js';
import type { Concurrency } from '../task/option-checks.js';
import type { WorkerHealth } from './health.js';

/** Options of `close` of a worker. */
export interface CloseOptions {
  /** Does not wait for running jobs: they return to their queues without using up an attempt, and run elsewhere. */
  force?: boolean | undefined;
  /** Longest wait for running jobs, which then return to their queues. Default: no limit. */
  timeout?: Duration | undefined;
}

const CLOSE: OptionNames<CloseOptions> = { force: true, timeout: true };

/** @throws {InvalidOptionError} */
export function checkClose(options: CloseOptions): CloseOptions {
  const { force = false } = checkOptions(options, CLOSE);
  checkBoolean('force', force);
  return options;
}

/**
 * Why a worker closed: `close` of the worker or its app, a signal, `app.control.shutdown`, or a limit that it reached.
 */
export type CloseReason = 'closed' | 'signal' | 'control' | 'max-jobs' | 'max-memory';

/**
 * A worker: takes jobs from queues and runs their handlers. Created by `app.worker()`.
 * @example
 * const worker = await app.worker({ concurrency: 20 }).start();
 * await worker.close({ timeout: '30s' });
 */
export interface AppWorker {
  readonly name: string;
  /** Whether child processes take the jobs, which this process starts and ends (`processes`, `watch`). */
  readonly isSupervisor: boolean;
  /** Index of this process among the worker's processes, from 0; undefined in the supervisor and without one. */
  readonly processIndex: number | undefined;
  readonly queues: readonly string[];
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Resolves with the reason once the worker is closed. */
  readonly closed: Promise<CloseReason>;
  /** The running attempts, oldest first. */
  readonly active: readonly ActiveAttempt[];
  /** Current concurrency of each queue. */
  readonly concurrency: Readonly<Record<string, number>>;
  /** Number of attempts that have ended since the start, by outcome. */
  readonly counts: AttemptCounts;
  /** Number of repairs since the start. If any is not zero, check the store for lost or removed jobs. */
  readonly repairs: RepairCounts;
  /**
   * Connects and starts to take jobs. Resolves with the worker once it is connected. While the store is unreachable it
   * waits and logs why, because workers are often started before their store.
   * If the worker is closed during the start it resolves too: the worker takes no jobs, see `state`.
   * @throws {ClosedError} if the worker or its app was closed before.
   * @throws {StoreConfigurationError} if the store is unsuitable: it evicts keys (unless `allowEviction` is set), is too
   * old, or is a cluster and the prefix has no braces.
   * @throws {ScheduleError} if the input of a schedule of this program is invalid.
   * @throws {ChildProcessError} if a child process ended before it took jobs, or the program has no file to run again.
   */
  start(): Promise<AppWorker>;
  /** Returns whether the worker is live and ready, with the reasons if not. Waits for the store for 2 s at most. */
  health(): Promise<WorkerHealth>;
  /** Port of the health server once it is started: the option `health`, or the port that the system chose for 0. */
  readonly healthPort: number | undefined;
  /**
   * Sets the concurrency of one queue, or of all, until the worker ends.
   * @throws {UnknownQueueError} if the worker does not serve the queue.
   */
  setConcurrency(concurrency: Concurrency, queue?: string): Promise<void>;
  /**
   * Serves one more queue, until the worker ends.
   * @throws {UnknownQueueError} if the app has no queue of that name.
   * @throws {ClosedError} if the worker is closing or closed, or closes before it serves the queue.
   */
  addQueue(queue: string, concurrency?: Concurrency): Promise<void>;
  /** Takes no more jobs of a queue; resolves when its running jobs have ended. */
  removeQueue(queue: string): Promise<void>;
  /** Takes no more jobs, waits for the running ones, and disconnects. */
  close(options?: CloseOptions): Promise<void>;
}

/** Returns the error for calls on a worker that is closing or closed. */
export function workerClosed(): ClosedError {
  return new ClosedError('This worker was closed. Create another one with app.worker().');
}

const SHOWN_ATTEMPTS = 10;

/** Describes returned attempts for a log line, the first 10 by name. */
export function describeReturned(attempts: readonly ActiveAttempt[], now: number): string {
  const words = attempts
    .slice(0, SHOWN_ATTEMPTS)
    .map(({ task, id, startedAt }) => `${task} ${id} (${Math.round((now - startedAt.getTime()) / 1000)} s)`);
  const more = attempts.length > words.length ? ` and ${attempts.length - words.length} more` : '';
  const jobs =
    attempts.length === 1 ? 'a running job to its queue' : `${attempts.length} running jobs to their queues`;
  return `${jobs}: ${words.join(', ')}${more}`;
}

/** Describes what a closing worker waits for, and for how long; empty if no job runs. */
export function describeWait(running: number, timeoutMs: number | undefined): string {
  if (running === 0) return '';
  const limit = timeoutMs === undefined ? '' : ` for up to ${timeoutMs / 1000} s`;
  return `; waiting${limit} for ${running} running job${running === 1 ? '' : 's'}`;
}

// Signals: one listener for all workers of the process. The first SIGTERM or SIGINT shuts them down, the second one
// aborts the running jobs.

/** A worker that a signal ends. */
export interface Stoppable {
  /** Takes no more jobs and waits for the running ones up to its timeout. Resolves when it is closed. */
  shutDown(signal: NodeJS.Signals): Promise<void>;
  /** Returns the running jobs to their queues without waiting. */
  abort(): Promise<void>;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** The exit codes that shells use for a program that a signal ended: 128 plus the number of the signal. */
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;

const openWorkers = new Set<Stoppable>();
let isEnding = false;

/** Registers a worker to be ended by signals; returns a function that removes it. */
export function endWithProcess(worker: Stoppable): () => void {
  if (openWorkers.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  openWorkers.add(worker);
  return () => {
    openWorkers.delete(worker);
    // While shutting down the listener must stay: a second signal would kill the process before its jobs are returned.
    if (openWorkers.size === 0 && !isEnding) for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}

function onSignal(signal: NodeJS.Signals): void {
  const isOurs = isOnlyListener(signal);
  const code = EXIT_CODES[signal as keyof typeof EXIT_CODES];
  if (isEnding) {
    void endAll((worker) => worker.abort()).then(() => exitProcess(isOurs ? code : undefined));
    return;
  }
  isEnding = true;
  void endAll((worker) => worker.shutDown(signal)).then(() => exitProcess(isOurs ? 0 : undefined));
}

async function endAll(end: (worker: Stoppable) => Promise<void>): Promise<void> {
  await Promise.allSettled([...openWorkers].map(end));
}

/** Whether no other listener decides when the process exits. */
function isOnlyListener(signal: NodeJS.Signals): boolean {
  return process.listenerCount(signal) === 1;
}

function exitProcess(code: number | undefined): void {
  isEnding = false;
  for (const signal of SIGNALS) process.off(signal, onSignal);
  if (code !== undefined) process.exit(code);
  if (openWorkers.size > 0) for (const signal of SIGNALS) process.on(signal, onSignal);
}
