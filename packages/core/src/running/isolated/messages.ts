/** What a worker and the child processes of its isolated tasks tell each other, as structured clones. */
import type { ErrorRecord } from '../../errors.js';
import type { TaskContext, TaskLog } from '../context.js';
import type { Thrown } from './thrown.js';

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
