/** Messages between a worker and the child processes of its isolated tasks, sent as structured clones. */
import { type ErrorRecord, isUmbelError, UmbelError, type UmbelErrorCode } from '../../base/errors.js';
import { rebuildError, recordError, restore, toError } from '../../codec/error-record.js';
import type { TaskContext, TaskLog } from '../../task/context.js';
import type { TaskEntry } from '../../task/definition.js';
import { RetryRequest } from '../../task/retry.js';

/** The properties of a context that are plain data. */
export type ContextData = Pick<
  TaskContext,
  | 'id'
  | 'name'
  | 'queue'
  | 'attempt'
  | 'runId'
  | 'rootId'
  | 'parentId'
  | 'enqueuedAt'
  | 'idempotencyKey'
  | 'headers'
  | 'tags'
>;

/** Asks a child to run a handler once. A child has one run at a time; runs are numbered from 1. */
export interface RunRequest {
  readonly kind: 'run';
  readonly run: number;
  readonly app: string;
  readonly task: string;
  /** The input before decoding: decoded values, such as class instances, may not survive cloning. */
  readonly input: unknown;
  readonly context: ContextData;
  /** Difference between the clock of this machine and the app's clock. */
  readonly aheadMs: number;
  /** Additions of middleware to the context: the plain data, and the names of the others (`withheld`). */
  readonly added: Readonly<Record<string, unknown>>;
  readonly withheld: readonly string[];
}

/** The answer to a report: stored, or failed with an error. */
export interface ReportAnswer {
  readonly kind: 'reported';
  readonly run: number;
  readonly report: number;
  readonly error?: Thrown;
}

export type ToChild = RunRequest | ReportAnswer;

/** Reports of a run. Progress and states are numbered and answered. */
export type RunReport =
  | { readonly kind: 'log'; readonly level: keyof TaskLog; readonly text: string }
  | { readonly kind: 'progress'; readonly report: number; readonly value: unknown }
  | { readonly kind: 'state'; readonly report: number; readonly state: string };

/** The end of a run. */
export type RunEnd =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'thrown'; readonly thrown: Thrown }
  /** The child cannot run this task, and must not be used again. */
  | { readonly kind: 'unable'; readonly reason: string; readonly cause?: ErrorRecord };

export type FromChild =
  | ((RunReport | RunEnd) & { readonly run: number })
  /** The child has loaded its module, or failed to. Now it handles messages. */
  | { readonly kind: 'loaded' }
  /** The child is about to end because of an uncaught error. */
  | { readonly kind: 'uncaught'; readonly error: ErrorRecord };

export type HandledTask = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** Process-wide, because the imported module may load another copy of this package. Set only in such a child. */
const COLLECTED = Symbol.for('umbel.isolated-handlers');

const holder = globalThis as { [COLLECTED]?: CollectedHandlers };

/** The handlers that the module of an isolated task defines in the child process. */
export class CollectedHandlers {
  readonly #tasks: { app: string; task: HandledTask }[] = [];

  add(app: string, task: HandledTask): void {
    this.#tasks.push({ app, task });
  }

  /**
   * Returns the task of this app. The name of an app may be computed at run time, so a task with this name is also
   * returned if only one app has one.
   */
  find(app: string, name: string): HandledTask | undefined {
    const named = this.#tasks.filter(({ task }) => task.name === name);
    const exact = named.find((candidate) => candidate.app === app);
    return (exact ?? (named.length === 1 ? named[0] : undefined))?.task;
  }

  /** Returns the names of the tasks, each with the name of its app. */
  names(): string[] {
    return this.#tasks.map(({ app, task }) => `"${task.name}" of app "${app}"`);
  }
}

/** Starts to collect handlers in this process. */
export function collectHandlers(): CollectedHandlers {
  const handlers = new CollectedHandlers();
  holder[COLLECTED] = handlers;
  return handlers;
}

/** Adds the handler if this process collects handlers. */
export function offerHandler(app: string, task: HandledTask): void {
  holder[COLLECTED]?.add(app, task);
}

/** Whether this process runs isolated tasks of a worker. */
export function isIsolatedChild(): boolean {
  return holder[COLLECTED] !== undefined;
}

/** An error in a form that has the same effect in another process. */
export interface Thrown {
  readonly error: ErrorRecord;
  /** Code of an Umbel error, which decides about retries. The error's class may be derived from Umbel's. */
  readonly kind?: UmbelErrorCode;
  /** The request of `ctx.retry`. */
  readonly retry?: { readonly delayMs: number | undefined; readonly isCounted: boolean };
}

export function recordThrown(thrown: unknown): Thrown {
  const error = toError(thrown);
  return {
    error: recordError(error),
    ...(isUmbelError(error) && { kind: error.code }),
    ...(error instanceof RetryRequest && { retry: { delayMs: error.delayMs, isCounted: error.isCounted } }),
  };
}

export function rebuildThrown({ error: record, kind, retry }: Thrown): Error {
  const rebuilt = rebuildError(record);
  if (retry !== undefined) {
    const request = new RetryRequest(record.message, retry.delayMs, undefined, retry.isCounted);
    return restore(request, record);
  }
  if (kind === undefined || isUmbelError(rebuilt)) return rebuilt;
  return restore(new RemoteUmbelError(record, kind), record);
}

/** An Umbel error whose class is not loaded in this process. */
class RemoteUmbelError extends UmbelError {
  override readonly name: string;
  readonly code: UmbelErrorCode;

  constructor({ message, name }: ErrorRecord, code: UmbelErrorCode) {
    super(message);
    this.name = name;
    this.code = code;
  }
}
