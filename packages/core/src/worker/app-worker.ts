/** A worker, as its program has it in hand. */

import { ClosedError } from '../base/errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { Duration } from '../base/time.js';
import type { ActiveAttempt, AttemptCounts } from '../control/answers.js';
import type { RepairCounts } from '../store/repair.js';
import type { Concurrency } from '../task/option-checks.js';
import type { WorkerHealth } from './health.js';

export interface CloseOptions {
  /** Does not wait for running jobs: they are given back to their queues, uncharged, to run again elsewhere. */
  force?: boolean | undefined;
  /** Longest wait for running jobs, which are given back then. Default: no limit. */
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
 * Why a worker was closed: by its `close` or that of its app, by a signal, by `app.control.shutdown`, or because it had
 * reached a limit.
 */
export type CloseReason = 'closed' | 'signal' | 'control' | 'max-jobs' | 'max-memory';

/** Takes jobs and runs their handlers. */
export interface AppWorker {
  readonly name: string;
  /** Whether other processes take the jobs, which this one starts and ends (`processes`, `watch`). */
  readonly isSupervisor: boolean;
  /** Of this process among those of the worker, from 0; undefined in the supervisor, and without one. */
  readonly processIndex: number | undefined;
  readonly queues: readonly string[];
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Resolves, once the worker is closed, with why. */
  readonly closed: Promise<CloseReason>;
  /** The attempts that run now, the one that began first in front. */
  readonly active: readonly ActiveAttempt[];
  /** How many jobs of each of its queues it runs at the same time, as that is now. */
  readonly concurrency: Readonly<Record<string, number>>;
  /** How many attempts have ended since the start, by how. */
  readonly counts: AttemptCounts;
  /** What this worker has repaired since it was started: anything but zeros deserves a look at the store. */
  readonly repairs: RepairCounts;
  /**
   * Connects and begins to take jobs. Gives the worker itself, once it is connected; waits for a store that cannot be
   * reached, telling the app's logger why, since workers are often started before it.
   * One that is closed meanwhile is given too: it takes no job, see `state`.
   * @throws {ClosedError} if the worker, or its app, was closed before.
   * @throws {StoreConfigurationError} if the store is not fit: it evicts keys (unless `allowEviction` is set), is too old,
   * or is a cluster and the prefix has no braces.
   * @throws {ScheduleError} if a schedule that this program declares has an input that does not fit.
   * @throws {ChildProcessError} if a process of several ended before it took jobs, or the program has no file to run again.
   */
  start(): Promise<AppWorker>;
  /** Whether it lives and takes jobs, with the reasons if not. Asks the store, for 2 s at most. */
  health(): Promise<WorkerHealth>;
  /** The port of its probes, once it is started, if it has any: that of the option `health`, or the one that the system chose for 0. */
  readonly healthPort: number | undefined;
  /**
   * Jobs that run at the same time, of a queue or of each; from now on, until the worker ends.
   * @throws {UnknownQueueError} if it does not serve the queue.
   */
  setConcurrency(concurrency: Concurrency, queue?: string): Promise<void>;
  /**
   * Serves one more queue, until the worker ends.
   * @throws {UnknownQueueError} if the app has none of that name.
   * @throws {ClosedError} if the worker is closing or closed, also if it is closed before it has begun to serve the queue.
   */
  addQueue(queue: string, concurrency?: Concurrency): Promise<void>;
  /** Takes no more jobs of a queue; settles when those that run have ended. */
  removeQueue(queue: string): Promise<void>;
  /** Takes no more jobs, waits for those that run, and disconnects. */
  close(options?: CloseOptions): Promise<void>;
}

/** The error of whatever is asked of a worker that is closing or closed. */
export function workerClosed(): ClosedError {
  return new ClosedError('This worker was closed; make another with app.worker().');
}

// What workers say of the jobs that they have.

const SHOWN_ATTEMPTS = 10;

/** Attempts for people, the first few of them. */
export function shownAttempts(attempts: readonly ActiveAttempt[], now: number): string {
  const words = attempts
    .slice(0, SHOWN_ATTEMPTS)
    .map(({ task, id, startedAt }) => `${task} ${id} (${Math.round((now - startedAt.getTime()) / 1000)} s)`);
  const more = attempts.length > words.length ? ` and ${attempts.length - words.length} more` : '';
  const jobs = attempts.length === 1 ? 'a job that still runs' : `${attempts.length} jobs that still run`;
  return `${jobs}: ${words.join(', ')}${more}`;
}

/** What a worker that ends waits for, and how long; nothing if nothing runs. */
export function shownWait(running: number, timeoutMs: number | undefined): string {
  if (running === 0) return '';
  const limit = timeoutMs === undefined ? '' : ` for up to ${timeoutMs / 1000} s`;
  return `; waiting${limit} for ${running} that run${running === 1 ? 's' : ''}`;
}

/**
 * Ends the workers of this process when it is told to end. One listener for all of them: the first SIGTERM or SIGINT
 * shuts them down, a second one gives up what still runs.
 */

/** What is ended by a signal. */
export interface Stoppable {
  /** Takes no more jobs and waits for those that run, as long as it may. Settles when it is closed. */
  shutDown(signal: NodeJS.Signals): Promise<void>;
  /** Gives up what still runs. */
  abort(): Promise<void>;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** As a shell tells that a program was ended by a signal. */
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;

const open = new Set<Stoppable>();
let isEnding = false;

/** Ends it by signals from now on; gives a function that stops that. */
export function endWithProcess(worker: Stoppable): () => void {
  if (open.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  open.add(worker);
  return () => {
    open.delete(worker);
    // While ending, a further signal must find its listener, or it would kill the process with jobs half given back.
    if (open.size === 0 && !isEnding) for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}

function onSignal(signal: NodeJS.Signals): void {
  const isOurs = isOnlyListener(signal);
  const code = EXIT_CODES[signal as keyof typeof EXIT_CODES];
  if (isEnding) {
    void settled((worker) => worker.abort()).then(() => leave(isOurs ? code : undefined));
    return;
  }
  isEnding = true;
  void settled((worker) => worker.shutDown(signal)).then(() => leave(isOurs ? 0 : undefined));
}

async function settled(end: (worker: Stoppable) => Promise<void>): Promise<void> {
  await Promise.allSettled([...open].map(end));
}

/** Whether nobody else wants to decide when the process ends. */
function isOnlyListener(signal: NodeJS.Signals): boolean {
  return process.listenerCount(signal) === 1;
}

function leave(code: number | undefined): void {
  isEnding = false;
  for (const signal of SIGNALS) process.off(signal, onSignal);
  if (code !== undefined) process.exit(code);
  if (open.size > 0) for (const signal of SIGNALS) process.on(signal, onSignal);
}
