/**
 * One of the places of a worker that has several processes. A process runs in it, or is about to:
 *
 * ```
 * starting ─▶ running ─▶ ended ─▶ (after a while) starting …
 * ```
 *
 * One that has done enough is replaced at once, and ends beside its successor.
 */
import { clearTimeout, setTimeout } from '../../real-timers.js';
import { type Change, EMPTY_REPORT, type EndReason, type ProcessReport } from './messages.js';
import type { Place } from './place.js';
import type { Program } from './program.js';
import { type AfterEnd, afterEnd } from './restarts.js';
import { type ProcessHealth, summed } from './summary.js';
import { WorkerProcess } from './worker-process.js';

/** A program that has not made its worker by then does not do so in every process. */
const LOADED_MS = 30_000;
/** What jobs get when the program has changed. */
const CHANGED_MS = 2000;

export interface SlotParts {
  readonly program: Program;
  readonly place: Place;
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

export class Slot {
  readonly #parts: SlotParts;
  /** Also those that are about to end. */
  readonly #processes = new Set<WorkerProcess>();
  /** The one that takes jobs, or will. */
  #current: WorkerProcess | undefined;
  /** Of those that are gone. */
  #past: ProcessReport = EMPTY_REPORT;
  #failures = 0;
  #renewal: Promise<void> | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(parts: SlotParts) {
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
    const process = new WorkerProcess(this.#parts.program, this.#parts.place, {
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

  #running(process: WorkerProcess): void {
    for (const change of this.#parts.changes()) {
      // Such as the end of a queue that it does not serve.
      void process.ask(change).catch(() => {});
    }
    this.#parts.onRunning();
  }

  #closing(process: WorkerProcess): void {
    if (process.reason === 'control') this.#parts.onShutDown();
    const isDone = ['max-jobs', 'max-memory', 'signal'].includes(process.reason ?? 'closed');
    if (isDone && process === this.#current && !this.#isClosing) this.#replace(process, 'ends');
  }

  #exited(process: WorkerProcess): void {
    const { active, counts, repairs } = process.report;
    this.#processes.delete(process);
    this.#past = summed([this.#past, { counts, repairs, active: [], concurrency: {} }]);
    const attempts = active.length === 1 ? 'an attempt' : `${active.length} attempts`;
    const lost = active.length === 0 ? '' : ` while ${attempts} ran, which other processes repeat`;
    if (process === this.#current && !this.#isClosing) this.#replace(process, `${process.exit}${lost}`);
    else if (lost !== '') this.#parts.warn(`${this.#named(process)} ${process.exit}${lost}`);
  }

  #replace(process: WorkerProcess, what: string): void {
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

  #named({ pid }: WorkerProcess): string {
    return `process ${this.#parts.place.index} of worker ${this.#parts.place.name} (pid ${pid})`;
  }
}
