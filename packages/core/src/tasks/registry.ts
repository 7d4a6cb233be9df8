import { DuplicateTaskError, UnknownTaskError } from '../errors.js';
import type { TaskContext } from '../running/context.js';
import type { Schema } from '../types/task.js';
import type { Deduplication } from './deduplication.js';
import type { Hooks } from './hooks.js';
import type { NormalizedOptions } from './options.js';
import type { RetryDecisions } from './retry.js';

/** What an app knows of a task. `run` is absent where only the contract was imported. */
export interface TaskEntry {
  readonly name: string;
  readonly options: NormalizedOptions;
  readonly input?: Schema;
  readonly output?: Schema;
  /** Of the values that a handler reports. */
  readonly progress?: Schema;
  /** States of the job that a handler may show. */
  readonly states?: readonly string[];
  /** Failures that a handler may end with, by name, with the schema of what comes with each. */
  readonly failures?: Readonly<Record<string, Schema>>;
  readonly retryDecisions?: RetryDecisions;
  readonly deduplication?: Deduplication;
  readonly hooks?: Hooks;
  /** Names of keys whose values are masked. */
  readonly sensitive?: readonly string[];
  /** The module to load in a child process, which defines the task. */
  readonly isolate?: string;
  readonly run?: (input: unknown, context: TaskContext) => unknown;
}

export type HandledEntry = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** Tasks by name. */
export class Registry {
  readonly #tasks = new Map<string, TaskEntry>();
  readonly #queues = new Set<string>();
  readonly #queueListeners = new Set<() => void>();

  /**
   * Adds a task; a handler is added to a contract of the same name.
   * @throws {DuplicateTaskError} if the name is taken.
   */
  add(entry: TaskEntry): void {
    const present = this.#tasks.get(entry.name);
    if (present !== undefined && !completes(present, entry)) throw new DuplicateTaskError(entry.name);
    this.#tasks.set(entry.name, entry);
    const { queue } = entry.options;
    if (queue === undefined || this.#queues.has(queue)) return;
    this.#queues.add(queue);
    for (const listener of this.#queueListeners) listener();
  }

  /** Calls `listener` when a task names a queue that none has named before. Returns a function that stops it. */
  onQueue(listener: () => void): () => void {
    this.#queueListeners.add(listener);
    return () => this.#queueListeners.delete(listener);
  }

  /**
   * Adds a contract, whose handler may be here already.
   * @throws {DuplicateTaskError} if another contract has its name.
   */
  declare(entry: TaskEntry): void {
    const present = this.#tasks.get(entry.name);
    if (present?.run === undefined) this.add(entry);
    else if (!isSame(present, entry)) throw new DuplicateTaskError(entry.name);
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(name: string): TaskEntry | undefined {
    return this.#tasks.get(name);
  }

  /** The task with its handler. @throws {UnknownTaskError} if there is none. */
  handled(name: string): HandledEntry {
    const entry = this.#tasks.get(name);
    if (entry?.run === undefined)
      throw new UnknownTaskError(
        name,
        this.handledTasks().map((task) => task.name),
      );
    return entry as HandledEntry; // which was looked at
  }

  /** The queues that tasks name. */
  queues(): ReadonlySet<string> {
    return this.#queues;
  }

  /** Those with and without a handler here. */
  tasks(): TaskEntry[] {
    return [...this.#tasks.values()];
  }

  /** Tasks that this process can run. */
  handledTasks(): TaskEntry[] {
    return [...this.#tasks.values()].filter((entry) => entry.run !== undefined);
  }
}

/** True for the same contract again, and for a contract that now gets its handler. */
function completes(present: TaskEntry, entry: TaskEntry): boolean {
  return present.run === undefined && isSame(present, entry);
}

function isSame(one: TaskEntry, other: TaskEntry): boolean {
  return one.input === other.input && one.output === other.output;
}
