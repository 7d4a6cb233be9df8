/** This module implements `app.history`: throughput, failures and durations over time, which outlive processes. */
import { type DurationPercentiles, percentilesOf } from '../base/duration-buckets.js';
import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import {
  addCounts,
  HISTORY_LEVELS,
  type HistoryCounts,
  readHistory,
  readHistoryTasks,
} from '../store/history.js';
import type { Store } from '../store/store.js';
import { checkName } from '../task/option-checks.js';

/** Selects a time. */
export interface HistoryRange {
  /** Default: three hours before `until`. More than three hours ago, the history has steps of 15 minutes, for a week. */
  since?: Date | undefined;
  /** Default: now. */
  until?: Date | undefined;
}

/** Selects a part of the history. */
export interface HistoryQuery extends HistoryRange {
  /** The name of a task. Default: all tasks together. */
  task?: string | undefined;
}

/** Attempts in some time. */
export interface HistoryNumbers {
  /** Number of attempts that completed their job. */
  readonly completed: number;
  /** Number of attempts that failed, after which the job failed for good. */
  readonly failed: number;
  /** Number of attempts that failed and are retried. */
  readonly retried: number;
  /** Duration of attempts in milliseconds, within 10 %; null if there were none. */
  readonly runMs: DurationPercentiles | null;
  /**
   * How long jobs waited for a worker from the end of their delay to their first attempt, in milliseconds, within 10 %; null if
   * there were none. Steps that wait for earlier steps do not count.
   */
  readonly waitMs: DurationPercentiles | null;
}

/** The attempts of one step of time. */
export interface HistoryPoint extends HistoryNumbers {
  /** The beginning of the step. */
  readonly at: Date;
}

/** A part of the history. */
export interface HistoryAnswer {
  /** False if the store keeps no history, as backends of other packages do. */
  readonly isKept: boolean;
  /** The length of a step in milliseconds: 60,000 or 900,000. */
  readonly stepMs: number;
  /** One point for each step, oldest first, also for steps without attempts. The last step may still go on. */
  readonly points: readonly HistoryPoint[];
  /** All points together. */
  readonly total: HistoryNumbers;
}

/** The attempts of one task in some time. */
export interface TaskHistory extends HistoryNumbers {
  /** `(other)` for those of further tasks together, if more than 100 tasks ran in one step. */
  readonly task: string;
}

/**
 * Attempts over time. Workers write what they have counted every ten seconds and when they close; an attempt is counted in the
 * step in which it is written. The store keeps steps of a minute for three hours and steps of 15 minutes for a week, with at
 * most 100 tasks each.
 *
 * @example
 * const { points, total } = await app.history.read({ task: 'mail.send' });
 * for (const { at, completed, runMs } of points) console.log(at, completed, runMs?.p95);
 * console.log(total.failed);
 */
export interface AppHistory {
  /** Returns the history of a task, or of all tasks together. @throws {InvalidOptionError} if the query is invalid. */
  read(query?: HistoryQuery): Promise<HistoryAnswer>;
  /**
   * Returns the sums of each task, those with most attempts first; none if the store keeps no history.
   * @throws {InvalidOptionError} if the range is invalid.
   */
  tasks(range?: HistoryRange): Promise<TaskHistory[]>;
}

const RANGE: OptionNames<HistoryRange> = { since: true, until: true };
const QUERY: OptionNames<HistoryQuery> = { ...RANGE, task: true };

interface HistoryDependencies {
  readonly store: Store;
  readonly now: () => number;
}

/** @param dependenciesNow Returns those of the app, or of its test override, at the time of a call. */
export function historyOf(dependenciesNow: () => HistoryDependencies): AppHistory {
  return {
    async read(query = {}) {
      checkOptions(query, QUERY, { option: 'query' });
      const task = query.task === undefined ? undefined : checkName('task', query.task);
      const { store, now } = dependenciesNow();
      await store.timeKnown();
      const { level, first, last } = slotsOf(query, now());
      const found = await readHistory(store, level, first, last, task);
      const slots = found ?? [];
      const all: HistoryCounts = new Map();
      for (const counts of slots) addCounts(all, counts);
      const points = slots.map((counts, index) => ({
        at: new Date((first + index) * level.stepMs),
        ...numbersOf(counts),
      }));
      return { isKept: found !== undefined, stepMs: level.stepMs, points, total: numbersOf(all) };
    },
    async tasks(range = {}) {
      checkOptions(range, RANGE, { option: 'range' });
      const { store, now } = dependenciesNow();
      await store.timeKnown();
      const { level, first, last } = slotsOf(range, now());
      const tasks = (await readHistoryTasks(store, level, first, last)) ?? new Map();
      return [...tasks]
        .map(([task, counts]) => ({ task, ...numbersOf(counts) }))
        .sort((a, b) => attemptsOf(b) - attemptsOf(a) || (a.task < b.task ? -1 : 1));
    },
  };
}

/** Returns the slots of a range, of the finest level that still has them. */
function slotsOf({ since, until }: HistoryRange, now: number) {
  const [minutes, quarters] = HISTORY_LEVELS;
  const untilMs = Math.min(until === undefined ? now : timeOf('until', until), now);
  const sinceMs =
    since === undefined ? untilMs - minutes.stepMs * (minutes.slots - 1) : timeOf('since', since);
  if (sinceMs > untilMs) throw new InvalidOptionError('since', 'earlier than `until` and than now', since);
  const oldest = ({ stepMs, slots }: (typeof HISTORY_LEVELS)[number]) => Math.floor(now / stepMs) - slots + 1;
  const level = Math.floor(sinceMs / minutes.stepMs) >= oldest(minutes) ? minutes : quarters;
  const last = Math.floor(untilMs / level.stepMs);
  // Older steps are not kept.
  const first = Math.min(Math.max(Math.floor(sinceMs / level.stepMs), oldest(level)), last);
  return { level, first, last };
}

function timeOf(option: string, date: Date): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidOptionError(option, 'a valid Date', date);
  return ms;
}

const attemptsOf = ({ completed, failed, retried }: HistoryNumbers) => completed + failed + retried;

function numbersOf(counts: HistoryCounts): HistoryNumbers {
  return {
    completed: counts.get('c') ?? 0,
    failed: counts.get('f') ?? 0,
    retried: counts.get('t') ?? 0,
    runMs: percentilesOf(bucketsOf(counts, 'r')),
    waitMs: percentilesOf(bucketsOf(counts, 'w')),
  };
}

function bucketsOf(counts: HistoryCounts, kind: 'r' | 'w'): Map<number, number> {
  return new Map(
    [...counts].flatMap(([name, count]) =>
      name.startsWith(kind) ? [[Number(name.slice(1)), count] as const] : [],
    ),
  );
}
