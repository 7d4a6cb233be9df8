/**
 * This module keeps the history of attempts in the store: numbers and durations by task and time. Workers add what they have
 * counted, with one command every few seconds. It is a ring: slots of a minute are kept for three hours, slots of a quarter of
 * an hour for a week, and each has at most 100 tasks, so its size does not depend on the number of jobs.
 */
import { type HistoryPrimitives, historyPrimitivesOf } from './primitives/history.js';
import type { Store } from './store.js';

/** A queue that has no jobs; its keys hold the history. */
const HISTORY_QUEUE = 'umbel.history';

interface HistoryLevel {
  readonly name: string;
  readonly stepMs: number;
  /** Number of slots that are kept. */
  readonly slots: number;
}

export const HISTORY_LEVELS: readonly [HistoryLevel, HistoryLevel] = [
  { name: 'm', stepMs: 60_000, slots: 180 },
  { name: 'q', stepMs: 900_000, slots: 672 },
];

/** Maximum number of tasks of a slot. Those of further tasks are added together. */
const MAX_TASKS = 100;
/** Name of the further tasks. No task can have it. */
const OTHER_TASKS = '(other)';
/** Name of all tasks together. No task can have it. */
const ALL_TASKS = '';
/** A store that answers later gets no history: a worker that closes would wait for it. */
const WRITE_TIMEOUT_MS = 2000;
/** Number of slots from which one command reads all tasks. */
const SLOTS_AT_ONCE = 60;

/** Numbers by name: `c` completed, `f` failed, `t` retried; `r` and `w` with a bucket: run times and wait times. */
export type HistoryCounts = Map<string, number>;

export function parseCounts(text: string): HistoryCounts {
  const counts: HistoryCounts = new Map();
  for (const [, name = '', count] of text.matchAll(/([a-z]\d*):(\d+)/g)) counts.set(name, Number(count));
  return counts;
}

export function formatCounts(counts: HistoryCounts): string {
  return [...counts].map(([name, count]) => `${name}:${count}`).join(' ');
}

/** Adds counts to `sums`. */
export function addCounts(sums: HistoryCounts, counts: HistoryCounts): void {
  for (const [name, count] of counts) sums.set(name, (sums.get(name) ?? 0) + count);
}

/** Adds counts by task to the slots of a moment. Does nothing if the store keeps no history. */
export async function addHistory(
  store: Store,
  byTask: ReadonlyMap<string, HistoryCounts>,
  now: number,
): Promise<void> {
  const all: HistoryCounts = new Map();
  for (const counts of byTask.values()) addCounts(all, counts);
  const entries = HISTORY_LEVELS.flatMap(({ name, stepMs, slots }) =>
    [[ALL_TASKS, all] as const, ...byTask].map(([task, counts]) => ({
      slot: `${name}${Math.floor(now / stepMs)}`,
      keptMs: stepMs * (slots + 1),
      task,
      counts: formatCounts(counts),
    })),
  );
  const add = (primitives: HistoryPrimitives) => primitives.addHistory(entries, MAX_TASKS, OTHER_TASKS);
  await withHistory(store, add, WRITE_TIMEOUT_MS);
}

/** Returns the counts of a task, or of all tasks, in each slot from one to another; undefined without a history. */
export function readHistory(
  store: Store,
  { name }: HistoryLevel,
  first: number,
  last: number,
  task: string = ALL_TASKS,
): Promise<HistoryCounts[] | undefined> {
  return withHistory(store, async (primitives) => {
    const texts = await primitives.readHistory(slotNames(name, first, last), task);
    return texts.map(parseCounts);
  });
}

/** Returns the counts of each task from one slot to another; undefined without a history. */
export function readHistoryTasks(
  store: Store,
  { name }: HistoryLevel,
  first: number,
  last: number,
): Promise<Map<string, HistoryCounts> | undefined> {
  return withHistory(store, async (primitives) => {
    const names = slotNames(name, first, last);
    const tasks = new Map<string, HistoryCounts>();
    for (let at = 0; at < names.length; at += SLOTS_AT_ONCE) {
      for (const [task, text] of await primitives.readHistoryTasks(names.slice(at, at + SLOTS_AT_ONCE))) {
        if (task === ALL_TASKS) continue;
        const sums = tasks.get(task) ?? new Map();
        tasks.set(task, sums);
        addCounts(sums, parseCounts(text));
      }
    }
    return tasks;
  });
}

function slotNames(level: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => `${level}${first + at}`);
}

function withHistory<T>(
  store: Store,
  command: (primitives: HistoryPrimitives) => Promise<T>,
  timeoutMs?: number,
): Promise<T | undefined> {
  const ask = async (primitives: HistoryPrimitives | undefined) => primitives && command(primitives);
  return store.on(HISTORY_QUEUE, (bull) => ask(historyPrimitivesOf(bull.getBackend())), timeoutMs);
}
