/**
 * This module counts the attempts of a worker for the history: numbers and durations by task. It writes them with one command
 * every ten seconds in which an attempt ended, and when the worker closes. An attempt costs a few additions.
 */
import { BUCKETS, bucketOf } from '../base/duration-buckets.js';
import { isUmbelError } from '../base/errors.js';
import { clearInterval, setInterval } from '../base/real-timers.js';
import type { AttemptEnd } from '../control/answers.js';
import { addHistory, type HistoryCounts } from '../store/history.js';
import type { Store } from '../store/store.js';

const WRITE_MS = 10_000;
/** Names of the numbers of attempts; other ends are no attempts of the task. */
const NAMES: Partial<Record<AttemptEnd, string>> = { completed: 'c', failed: 'f', retried: 't' };

interface TaskCounts {
  readonly ends: Record<string, number>;
  readonly runs: Uint32Array;
  readonly waits: Uint32Array;
}

interface RecorderDependencies {
  readonly store: Store;
  readonly now: () => number;
  readonly onError: (error: Error) => void;
}

export class HistoryRecorder {
  readonly #dependencies: RecorderDependencies;
  #tasks = new Map<string, TaskCounts>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(dependencies: RecorderDependencies) {
    this.#dependencies = dependencies;
  }

  start(): void {
    this.#timer = setInterval(() => void this.write(), WRITE_MS);
    this.#timer.unref();
  }

  /** Writes what was counted since the last write, and stops. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.write();
  }

  /** Counts the wait of a first attempt. */
  waited(task: string, ms: number): void {
    const { waits } = this.#countsOf(task);
    waits[bucketOf(ms)] = (waits[bucketOf(ms)] ?? 0) + 1;
  }

  /** Counts an attempt that ended. */
  ended(task: string, end: AttemptEnd, ms: number): void {
    const name = NAMES[end];
    if (name === undefined) return;
    const { ends, runs } = this.#countsOf(task);
    ends[name] = (ends[name] ?? 0) + 1;
    runs[bucketOf(ms)] = (runs[bucketOf(ms)] ?? 0) + 1;
  }

  /** Writes what was counted since the last write. Numbers that the store refuses are lost: the history need not be exact. */
  async write(): Promise<void> {
    if (this.#tasks.size === 0) return;
    const counted = this.#tasks;
    this.#tasks = new Map();
    const byTask = new Map([...counted].map(([task, counts]) => [task, namedCounts(counts)]));
    const { store, now, onError } = this.#dependencies;
    try {
      await addHistory(store, byTask, now());
    } catch (error) {
      const isAway = isUmbelError(error, 'CONNECTION') || isUmbelError(error, 'CLOSED');
      if (!isAway) onError(error as Error); // commands of a store throw errors
    }
  }

  #countsOf(task: string): TaskCounts {
    let counts = this.#tasks.get(task);
    if (counts === undefined) {
      counts = { ends: {}, runs: new Uint32Array(BUCKETS), waits: new Uint32Array(BUCKETS) };
      this.#tasks.set(task, counts);
    }
    return counts;
  }
}

function namedCounts({ ends, runs, waits }: TaskCounts): HistoryCounts {
  const counts: HistoryCounts = new Map(Object.entries(ends));
  for (const [bucket, count] of runs.entries()) if (count > 0) counts.set(`r${bucket}`, count);
  for (const [bucket, count] of waits.entries()) if (count > 0) counts.set(`w${bucket}`, count);
  return counts;
}
