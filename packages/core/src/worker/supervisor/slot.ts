/**
 * One slot of a worker with several processes: keeps one child process running, and restarts it by `afterEnd`.
 *
 * ```
 * starting ─▶ running ─▶ ended ─▶ (after a delay) starting …
 * ```
 *
 * A process that reached its limit is replaced at once, and finishes its jobs beside its successor.
 */

import { clearTimeout, setTimeout } from '../../base/real-timers.js';
import type { CloseReason } from '../app-worker.js';
import { ChildWorkerProcess } from './child-process.js';
import {
  EMPTY_REPORT,
  type EndReason,
  type ProcessHealth,
  type ProcessReport,
  summed,
  type WorkerChange,
} from './messages.js';
import type { ProcessIdentity, Program } from './plan.js';

/** A process that ended sooner than this will likely fail again. */
const STABLE_MS = 60_000;
const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 30_000;
const SIGNALLED_DELAY_MS = 200;

/** Returns the delay before a restart after `failures` failures in a row: 0, 1 s, 2 s … 30 s. */
export function restartDelayMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (failures - 2), LONGEST_DELAY_MS);
}

export interface EndedProcess {
  /** Time during which it took jobs; undefined if it never did. */
  readonly ranMs: number | undefined;
  /** The reason that the process gave for its end, if any. */
  readonly reason: CloseReason | undefined;
  /** Number of earlier failures of this slot in a row. */
  readonly failures: number;
}

export interface RestartRules {
  /** Whether the worker is starting: then a process that never took jobs fails the start. */
  readonly isStarting: boolean;
  /** Whether a changed file restarts the process: then a process that cannot run waits for a change. */
  readonly isWatching: boolean;
}

export type AfterEnd =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly failures: number }
  | { readonly kind: 'wait-for-change' }
  | { readonly kind: 'fail-start' };

/** Decides what follows the end of a process while the worker continues. */
export function afterEnd({ ranMs, reason, failures }: EndedProcess, rules: RestartRules): AfterEnd {
  if (ranMs === undefined && rules.isWatching) return { kind: 'wait-for-change' };
  if (ranMs === undefined && rules.isStarting) return { kind: 'fail-start' };
  if (reason === 'max-jobs') return { kind: 'restart', delayMs: 0, failures: 0 };
  // All processes likely received the signal, and the supervisor will see it in a moment.
  if (reason === 'signal') return { kind: 'restart', delayMs: SIGNALLED_DELAY_MS, failures: 0 };
  const isStable = ranMs !== undefined && ranMs >= STABLE_MS;
  const next = isStable ? 1 : failures + 1;
  return { kind: 'restart', delayMs: restartDelayMs(next), failures: next };
}

/** After this time without a worker the slot warns: the program may not create it in every process. */
const LOADED_MS = 30_000;
/** Timeout of running jobs when a file has changed. */
const CHANGED_JOBS_MS = 2000;

export interface ChildSlotOptions {
  readonly program: Program;
  readonly identity: ProcessIdentity;
  readonly isWatching: boolean;
  /** Whether the worker is starting. */
  readonly isStarting: () => boolean;
  /** Changes that each new process applies once it runs. */
  readonly changes: () => readonly WorkerChange[];
  /** Called when a process of this slot takes jobs. */
  readonly onRunning: () => void;
  /** Called when the worker cannot start. */
  readonly onFailed: (error: Error) => void;
  /** Called when a process was shut down by `app.control`, which reaches all processes of the worker. */
  readonly onShutDown: () => void;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
}

export class ChildSlot {
  readonly #options: ChildSlotOptions;
  /** All live processes, including those that are ending. */
  readonly #processes = new Set<ChildWorkerProcess>();
  /** The process that takes jobs, or will. */
  #current: ChildWorkerProcess | undefined;
  /** Sum of the reports of ended processes. */
  #endedReport: ProcessReport = EMPTY_REPORT;
  #failures = 0;
  #renewal: Promise<void> | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(options: ChildSlotOptions) {
    this.#options = options;
  }

  get report(): ProcessReport {
    return summed([this.#endedReport, ...[...this.#processes].map(({ report }) => report)]);
  }

  /** Number of live processes, including those that are ending. */
  get size(): number {
    return this.#processes.size;
  }

  start(): void {
    const process = new ChildWorkerProcess(this.#options.program, this.#options.identity, {
      running: () => this.#running(process),
      closing: () => this.#closing(process),
      killed: (ms) =>
        this.#options.warn(`${this.#describe(process)} did not end within ${ms / 1000} s and is killed`),
      exited: () => {
        clearTimeout(slow);
        this.#exited(process);
      },
    });
    const slow = setTimeout(() => {
      if (process.isLoaded) return;
      const words = `has not created its worker after ${LOADED_MS / 1000} s: the program must create the same workers in each process`;
      this.#options.warn(`${this.#describe(process)} ${words}`);
    }, LOADED_MS);
    slow.unref();
    this.#current = process;
    this.#processes.add(process);
  }

  /** Restarts the program, with its changed files. */
  renew(): Promise<void> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** Ends the processes and starts no more. Resolves when all have exited. */
  async close(reason: EndReason, timeoutMs: number | undefined): Promise<void> {
    this.#close();
    for (const process of this.#processes) process.close(reason, timeoutMs);
    await this.#allExited();
  }

  /** Ends the processes, which return their jobs to the queues. Resolves when all have exited. */
  async abort(): Promise<void> {
    this.#close();
    for (const process of this.#processes) process.abort();
    await this.#allExited();
  }

  forward(signal: NodeJS.Signals): void {
    for (const process of this.#processes) process.forward(signal);
  }

  /** Applies a change in the current process. A process that is starting applies it later. @throws the process's error. */
  async change(change: WorkerChange): Promise<void> {
    const process = this.#current;
    if (process?.ranMs === undefined) return;
    try {
      await process.ask(change);
    } catch (error) {
      if (process === this.#current) throw error; // otherwise its successor applies the change
    }
  }

  async health(): Promise<ProcessHealth> {
    const process = this.#current ?? [...this.#processes].at(-1);
    if (process === undefined || !process.isLoaded) return 'starting';
    const answer = await process.ask({ umbel: 'health' }).catch(() => undefined);
    return answer?.health ?? (this.#processes.has(process) ? 'silent' : 'starting');
  }

  /** Returns the metrics of the current process; undefined if it does not answer. */
  async metrics(): Promise<readonly unknown[] | undefined> {
    const process = this.#current;
    if (process?.ranMs === undefined) return undefined;
    const answer = await process.ask({ umbel: 'metrics' }).catch(() => undefined);
    return answer?.metrics;
  }

  async #renew(): Promise<void> {
    clearTimeout(this.#restart);
    this.#failures = 0;
    const old = this.#current;
    this.#current = undefined;
    old?.close('changed', CHANGED_JOBS_MS);
    await old?.exited; // both may listen on the same port
    if (!this.#isClosing) this.start();
  }

  #running(process: ChildWorkerProcess): void {
    for (const change of this.#options.changes()) {
      // An error is expected, for example when the queue to remove is not served.
      void process.ask(change).catch(() => {});
    }
    this.#options.onRunning();
  }

  #closing(process: ChildWorkerProcess): void {
    if (process.reason === 'control') this.#options.onShutDown();
    const isDone = ['max-jobs', 'max-memory', 'signal'].includes(process.reason ?? 'closed');
    if (isDone && process === this.#current && !this.#isClosing) this.#replace(process, 'ends');
  }

  #exited(process: ChildWorkerProcess): void {
    const { active, counts, repairs } = process.report;
    this.#processes.delete(process);
    this.#endedReport = summed([this.#endedReport, { counts, repairs, active: [], concurrency: {} }]);
    const attempts = active.length === 1 ? 'an attempt' : `${active.length} attempts`;
    const lost = active.length === 0 ? '' : ` while ${attempts} ran, which other processes repeat`;
    if (process === this.#current && !this.#isClosing) this.#replace(process, `${process.exit}${lost}`);
    else if (lost !== '') this.#options.warn(`${this.#describe(process)} ${process.exit}${lost}`);
  }

  #replace(process: ChildWorkerProcess, what: string): void {
    this.#current = undefined;
    const { ranMs, reason } = process;
    const { isWatching } = this.#options;
    const next = afterEnd(
      { ranMs, reason, failures: this.#failures },
      { isWatching, isStarting: this.#options.isStarting() },
    );
    if (next.kind === 'fail-start') {
      this.#options.onFailed(process.error);
      return;
    }
    const isPlanned = next.kind === 'restart' && next.failures === 0;
    this.#options[isPlanned ? 'info' : 'warn'](
      `${this.#describe(process)} ${what}; ${this.#describeNext(next, ranMs)}`,
    );
    if (next.kind === 'wait-for-change') return;
    this.#failures = next.failures;
    if (next.delayMs === 0) this.start();
    else this.#restart = setTimeout(() => this.start(), next.delayMs);
  }

  #describeNext(next: AfterEnd, ranMs: number | undefined): string {
    if (next.kind !== 'restart') return 'it restarts when a file changes';
    const early = ranMs === undefined ? 'it took no jobs; ' : '';
    return `${early}another one is started ${next.delayMs === 0 ? 'at once' : `in ${next.delayMs / 1000} s`}`;
  }

  #close(): void {
    this.#isClosing = true;
    clearTimeout(this.#restart);
  }

  async #allExited(): Promise<void> {
    await Promise.all([...this.#processes].map(({ exited }) => exited));
  }

  #describe({ pid }: ChildWorkerProcess): string {
    return `process ${this.#options.identity.index} of worker ${this.#options.identity.name} (pid ${pid})`;
  }
}
