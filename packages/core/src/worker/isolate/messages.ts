/** What a worker and the child processes of its isolated tasks tell each other, as structured clones. */
import { type ErrorRecord, isUmbelError, UmbelError, type UmbelErrorCode } from '../../base/errors.js';
import { rebuildError, recordError, restore, toError } from '../../codec/error-record.js';
import type { TaskContext, TaskLog } from '../../task/context.js';
import type { TaskEntry } from '../../task/definition.js';
import { RetryRequest } from '../../task/retry.js';

/** The members of a context that are plain data. */
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

/** To run a handler once. A child has one run at a time; they are numbered from 1. */
export interface RunOrder {
  readonly kind: 'run';
  readonly run: number;
  readonly app: string;
  readonly task: string;
  /** As it was sent: what a schema makes of it, such as a `Date`, may not survive the way. */
  readonly input: unknown;
  readonly context: ContextData;
  /** How far the clock of this machine is ahead of the app's time. */
  readonly aheadMs: number;
  /** What middleware added to the context: the plain data, and the names of the rest. */
  readonly added: Readonly<Record<string, unknown>>;
  readonly withheld: readonly string[];
}

/** A report was stored, or could not be. */
export interface ReportAnswer {
  readonly kind: 'reported';
  readonly run: number;
  readonly report: number;
  readonly error?: Thrown;
}

export type ToChild = RunOrder | ReportAnswer;

/** What a run sends while it goes on. Reports are numbered, and answered. */
export type RunReport =
  | { readonly kind: 'log'; readonly level: keyof TaskLog; readonly text: string }
  | { readonly kind: 'progress'; readonly report: number; readonly value: unknown }
  | { readonly kind: 'state'; readonly report: number; readonly state: string };

/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'thrown'; readonly thrown: Thrown }
  /** The child cannot run this task, and is not to be used again. */
  | { readonly kind: 'unable'; readonly reason: string; readonly cause?: ErrorRecord };

export type FromChild =
  | ((RunReport | RunEnd) & { readonly run: number })
  /** The child has loaded its module, or cannot: now it does what it is sent. */
  | { readonly kind: 'loaded' }
  /** The child is about to end because nobody caught this. */
  | { readonly kind: 'uncaught'; readonly error: ErrorRecord };

// How the child process of an isolated task finds the handlers that the module it imports defines.

export type HandledTask = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** Process-wide, since the imported module may load another copy of this package. Present in such a child only. */
const COLLECTED = Symbol.for('umbel.isolated-handlers');

const holder = globalThis as { [COLLECTED]?: CollectedHandlers };

/** The handlers of this process, of every app. */
export class CollectedHandlers {
  readonly #tasks: { app: string; task: HandledTask }[] = [];

  add(app: string, task: HandledTask): void {
    this.#tasks.push({ app, task });
  }

  /**
   * The task of that name on the app of that name; else, since the name of an app may be made at run time, on the only
   * app that has one.
   */
  find(app: string, name: string): HandledTask | undefined {
    const named = this.#tasks.filter(({ task }) => task.name === name);
    const own = named.find((candidate) => candidate.app === app);
    return (own ?? (named.length === 1 ? named[0] : undefined))?.task;
  }

  /** The names of the tasks, each with that of its app. */
  names(): string[] {
    return this.#tasks.map(({ app, task }) => `"${task.name}" of app "${app}"`);
  }
}

/** Makes this process one that collects handlers. */
export function collectHandlers(): CollectedHandlers {
  const handlers = new CollectedHandlers();
  holder[COLLECTED] = handlers;
  return handlers;
}

/** Keeps the handler if this process collects them. */
export function offerHandler(app: string, task: HandledTask): void {
  holder[COLLECTED]?.add(app, task);
}

/** Whether this process is the child of a worker. */
export function isIsolatedChild(): boolean {
  return holder[COLLECTED] !== undefined;
}

// What was thrown in one process, with the same effect in another.

export interface Thrown {
  readonly error: ErrorRecord;
  /** Of one of Umbel's kinds of error, whose code decides about retries; its class may be derived from Umbel's. */
  readonly kind?: UmbelErrorCode;
  /** What `ctx.retry` asked for. */
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
  return restore(new DistantError(record, kind), record);
}

/** An error of one of Umbel's kinds whose class is not here. */
class DistantError extends UmbelError {
  override readonly name: string;
  readonly code: UmbelErrorCode;

  constructor({ message, name }: ErrorRecord, code: UmbelErrorCode) {
    super(message);
    this.name = name;
    this.code = code;
  }
}
