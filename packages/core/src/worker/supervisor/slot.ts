/**
 * One of the places of a worker that has several processes. A process runs in it, or is about to:
 *
 * ```
 * starting ─▶ running ─▶ ended ─▶ (after a while) starting …
 * ```
 *
 * One that has done enough is replaced at once, and ends beside its successor.
 */

import { clearTimeout, setTimeout } from '../../base/real-timers.js';
import type { CloseReason } from '../app-worker.js';
import { ChildWorkerProcess } from './child-process.js';
import { type Change, EMPTY_REPORT, type EndReason, type ProcessReport } from './messages.js';
import type { ProcessIdentity, Program } from './plan.js';
import { type ProcessHealth, summed } from './summary.js';

// What follows on the end of a process of a worker.

/** A process that ended after less than this has likely the same trouble again. */
const SOUND_MS = 60_000;
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
const SIGNALLED_MS = 200;

/** How long to wait before a process is started in place of one that ended, the `failures`th in a row: 0, 1 s, 2 s … 30 s. */
export function restartDelayMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(FIRST_MS * 2 ** (failures - 2), LONGEST_MS);
}

export interface EndedProcess {
  /** How long it has taken jobs; undefined if it never did. */
  readonly ranMs: number | undefined;
  /** Why it said that it would end, if it did. */
  readonly reason: CloseReason | undefined;
  /** Ends of processes of this place, one soon after the other, before this one. */
  readonly failures: number;
}

export interface RestartRules {
  /** Whether the worker is starting: then a process that never took jobs is why it cannot. */
  readonly isStarting: boolean;
  /** Whether a change of its program starts it anew: then what cannot run waits for one. */
  readonly isWatching: boolean;
}

export type AfterEnd =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly failures: number }
  | { readonly kind: 'wait-for-change' }
  | { readonly kind: 'fail-start' };

/** What to do about a process that has ended, or is about to, though the worker goes on. */
export function afterEnd({ ranMs, reason, failures }: EndedProcess, rules: RestartRules): AfterEnd {
  if (ranMs === undefined && rules.isWatching) return { kind: 'wait-for-change' };
  if (ranMs === undefined && rules.isStarting) return { kind: 'fail-start' };
  if (reason === 'max-jobs') return { kind: 'restart', delayMs: 0, failures: 0 };
  // Most likely all processes got it at once, and the supervisor is about to see it.
  if (reason === 'signal') return { kind: 'restart', delayMs: SIGNALLED_MS, failures: 0 };
  const isSound = ranMs !== undefined && ranMs >= SOUND_MS;
  const next = isSound ? 1 : failures + 1;
  return { kind: 'restart', delayMs: restartDelayMs(next), failures: next };
}

/** A program that has not made its worker by then does not do so in every process. */
const LOADED_MS = 30_000;
/** What jobs get when the program has changed. */
const CHANGED_MS = 2000;

export interface ChildSlotOptions {
  readonly program: Program;
  readonly place: ProcessIdentity;
  readonly isWatching: boolean;
  /** Whether the worker is starting. */
  readonly isStarting: () => boolean;
  /** What each process has to do once it runs. */
  readonly changes: () => readonly Change[];
  /** A process of this place takes jobs. */
  readonly onRunning: () => void;
  /** The worker cannot start. */
  readonly onFailed: (error: Error) => void;
  /** A process was told to shut down, by an order to all of the worker's. */
  readonly onShutDown: () => void;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
}

export class ChildSlot {
  readonly #parts: ChildSlotOptions;
  /** Also those that are about to end. */
  readonly #processes = new Set<ChildWorkerProcess>();
  /** The one that takes jobs, or will. */
  #current: ChildWorkerProcess | undefined;
  /** Of those that are gone. */
  #past: ProcessReport = EMPTY_REPORT;
  #failures = 0;
  #renewal: Promise<void> | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(parts: ChildSlotOptions) {
    this.#parts = parts;
  }

  get report(): ProcessReport {
    return summed([this.#past, ...[...this.#processes].map(({ report }) => report)]);
  }

  /** The number of processes, also of those that are about to end. */
  get size(): number {
    return this.#processes.size;
  }

  start(): void {
    const process = new ChildWorkerProcess(this.#parts.program, this.#parts.place, {
      running: () => this.#running(process),
      closing: () => this.#closing(process),
      killed: (ms) =>
        this.#parts.warn(`${this.#named(process)} did not end within ${ms / 1000} s and is killed`),
      exited: () => {
        clearTimeout(slow);
        this.#exited(process);
      },
    });
    const slow = setTimeout(() => {
      if (process.isLoaded) return;
      const words = `has not made its worker after ${LOADED_MS / 1000} s: does the program make the same workers in each process?`;
      this.#parts.warn(`${this.#named(process)} ${words}`);
    }, LOADED_MS);
    slow.unref();
    this.#current = process;
    this.#processes.add(process);
  }

  /** Starts the program anew, as it is now. */
  renew(): Promise<void> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** Ends what runs here; nothing is started any more. Settles when all processes are gone. */
  async close(reason: EndReason, timeoutMs: number | undefined): Promise<void> {
    this.#close();
    for (const process of this.#processes) process.close(reason, timeoutMs);
    await this.#gone();
  }

  /** The same for one whose jobs are given back. */
  async abort(): Promise<void> {
    this.#close();
    for (const process of this.#processes) process.abort();
    await this.#gone();
  }

  forward(signal: NodeJS.Signals): void {
    for (const process of this.#processes) process.forward(signal);
  }

  /** @throws what the process answers. One that does not run yet does it once it runs. */
  async change(change: Change): Promise<void> {
    const process = this.#current;
    if (process?.ranMs === undefined) return;
    try {
      await process.ask(change);
    } catch (error) {
      if (process === this.#current) throw error; // else its successor does it
    }
  }

  async health(): Promise<ProcessHealth> {
    const process = this.#current ?? [...this.#processes].at(-1);
    if (process === undefined || !process.isLoaded) return 'starting';
    const answer = await process.ask({ umbel: 'health' }).catch(() => undefined);
    return answer?.health ?? (this.#processes.has(process) ? 'silent' : 'starting');
  }

  /** Undefined if no process here gives any. */
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
    old?.close('changed', CHANGED_MS);
    await old?.exited; // both might listen at one port
    if (!this.#isClosing) this.start();
  }

  #running(process: ChildWorkerProcess): void {
    for (const change of this.#parts.changes()) {
      // Such as the end of a queue that it does not serve.
      void process.ask(change).catch(() => {});
    }
    this.#parts.onRunning();
  }

  #closing(process: ChildWorkerProcess): void {
    if (process.reason === 'control') this.#parts.onShutDown();
    const isDone = ['max-jobs', 'max-memory', 'signal'].includes(process.reason ?? 'closed');
    if (isDone && process === this.#current && !this.#isClosing) this.#replace(process, 'ends');
  }

  #exited(process: ChildWorkerProcess): void {
    const { active, counts, repairs } = process.report;
    this.#processes.delete(process);
    this.#past = summed([this.#past, { counts, repairs, active: [], concurrency: {} }]);
    const attempts = active.length === 1 ? 'an attempt' : `${active.length} attempts`;
    const lost = active.length === 0 ? '' : ` while ${attempts} ran, which other processes repeat`;
    if (process === this.#current && !this.#isClosing) this.#replace(process, `${process.exit}${lost}`);
    else if (lost !== '') this.#parts.warn(`${this.#named(process)} ${process.exit}${lost}`);
  }

  #replace(process: ChildWorkerProcess, what: string): void {
    this.#current = undefined;
    const { ranMs, reason } = process;
    const { isWatching } = this.#parts;
    const next = afterEnd(
      { ranMs, reason, failures: this.#failures },
      { isWatching, isStarting: this.#parts.isStarting() },
    );
    if (next.kind === 'fail-start') {
      this.#parts.onFailed(process.error);
      return;
    }
    const isWanted = next.kind === 'restart' && next.failures === 0;
    this.#parts[isWanted ? 'info' : 'warn'](`${this.#named(process)} ${what}; ${this.#words(next, ranMs)}`);
    if (next.kind === 'wait-for-change') return;
    this.#failures = next.failures;
    if (next.delayMs === 0) this.start();
    else this.#restart = setTimeout(() => this.start(), next.delayMs);
  }

  #words(next: AfterEnd, ranMs: number | undefined): string {
    if (next.kind !== 'restart') return 'it is started anew when a file changes';
    const early = ranMs === undefined ? 'it took no jobs; ' : '';
    return `${early}another one is started ${next.delayMs === 0 ? 'at once' : `in ${next.delayMs / 1000} s`}`;
  }

  #close(): void {
    this.#isClosing = true;
    clearTimeout(this.#restart);
  }

  async #gone(): Promise<void> {
    await Promise.all([...this.#processes].map(({ exited }) => exited));
  }

  #named({ pid }: ChildWorkerProcess): string {
    return `process ${this.#parts.place.index} of worker ${this.#parts.place.name} (pid ${pid})`;
  }
}
