/** This module defines the commands of the history of attempts; `../history.ts` uses them. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** Counts of one task in one slot of time. */
export interface HistoryEntry {
  /** Identifies the slot, such as `1.29837465`. */
  readonly slot: string;
  /** When the slot may be removed: the time from now, in milliseconds. */
  readonly keptMs: number;
  /** The name of a task, or `''` for all tasks together. */
  readonly task: string;
  /** Numbers by name, such as `c:5 r23:4`. */
  readonly counts: string;
}

/** The history of attempts. Without these commands there is none. */
export interface HistoryPrimitives {
  /** Adds counts to those of their slots, in one command. Tasks beyond `maxTasks` of a slot are added to the task `other`. */
  addHistory(entries: readonly HistoryEntry[], maxTasks: number, other: string): Promise<void>;
  /** Returns the counts of a task in each of these slots; `''` for none. */
  readHistory(slots: readonly string[], task: string): Promise<readonly string[]>;
  /** Returns the tasks of these slots with their counts. */
  readHistoryTasks(slots: readonly string[]): Promise<readonly (readonly [task: string, counts: string])[]>;
}

/** Returns the commands of a store; undefined if it has none. */
export function historyPrimitivesOf(backend: IQueueBackend): HistoryPrimitives | undefined {
  const commands = commandsOf(backend);
  return 'addHistory' in commands && 'readHistory' in commands && 'readHistoryTasks' in commands
    ? (commands as HistoryPrimitives)
    : undefined;
}
