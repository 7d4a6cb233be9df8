import { InvalidOptionError, UnboundTaskError } from '../errors.js';
import type { MembersFeed } from '../flow/feed.js';
import type { FlowNode } from '../flow/node.js';
import { plannedGraph, type RunGraph } from '../graph/run-graph.js';
import type { AsyncResult } from '../results/async-result.js';
import { type OptionsOf, piped, planned, type Surroundings } from './canvas.js';
import { checkOptions } from './known-options.js';
import { type CallbackExpressions, withCallback } from './linking.js';
import {
  BULK_OPTIONS,
  type BulkOptions,
  mergeOptions,
  type NormalizedOptions,
  normalizeOptions,
  type SendOptions,
  SIGNATURE_OPTIONS,
  type SignatureOptions,
} from './options.js';
import { refuseUnbound } from './unbound.js';

/** A composition or a call as plain data, told apart by `kind`. */
export interface Expression {
  readonly kind: string;
}

/** A call of one task. */
export interface TaskExpression extends Expression {
  readonly kind: 'task';
  readonly task: string;
  /** The whole input of an immutable call, else the bound keys. */
  readonly input?: unknown;
  /** The key that takes what the previous step gives. */
  readonly into?: string;
  /** Ignores what the previous step gives. */
  readonly immutable?: true;
  readonly options?: NormalizedOptions;
  readonly callbacks?: CallbackExpressions;
}

/** An app as its signatures, and compositions of them, see it. */
export interface Sender {
  /** Sends one call. `shared`: the options of the workflow that it is all of, absent: those that it is sent with. */
  send(
    expression: TaskExpression,
    input: unknown,
    options: SendOptions<never>,
    shared?: NormalizedOptions,
  ): Promise<AsyncResult<unknown>>;
  /** Sends many calls. */
  sendMany(
    expression: TaskExpression,
    inputs: Iterable<unknown>,
    options: BulkOptions,
  ): Promise<AsyncResult<unknown>[]>;
  /** Sends a planned run, giving `input` to its open nodes. The result's id is the run's. */
  sendRun(
    root: FlowNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MembersFeed[],
  ): Promise<AsyncResult<unknown>>;
  /** Settles once the time is known by which options are computed; undefined if it is. */
  timeKnown(options: SendOptions<never>): Promise<void> | undefined;
  /** Options as plain data, by this app's clock. */
  normalizeOptions(options: SendOptions<never>): NormalizedOptions;
  /** The options of a call: its own over those of its task. */
  optionsOf: OptionsOf;
  /** Most members of a group that are given as a list. */
  readonly maxMembers: number;
}

/** The property under which every signature, composed ones too, holds its app; absent until it is bound. */
export const SENDER: unique symbol = Symbol.for('umbel.sender');

/** The method by which every signature gives the tree of jobs that runs it. */
export const PLAN: unique symbol = Symbol.for('umbel.plan');

export interface Plannable {
  /** Planned at a path: the one job that gives its value. Without one: what is sent by itself, a run or a single job. */
  [PLAN](path?: string, surroundings?: Surroundings): FlowNode;
}

/** What every signature is at run time, composed ones too. */
export interface Signed {
  readonly [SENDER]: Sender | undefined;
  toJSON(): Expression;
}

/** True for tasks, signatures and compositions. */
export function isSigned(value: unknown): value is Signed {
  return typeof value === 'object' && value !== null && SENDER in value; // only signatures have it
}

/** The value as what follows a signature. @throws {InvalidOptionError} if it is no signature, or one of another app. */
export function callbackOf(method: string, value: unknown, sender: Sender | undefined): Signed {
  if (!isSigned(value)) {
    throw new InvalidOptionError(method, 'given a task, a signature or a composition', value);
  }
  if (sender !== undefined && value[SENDER] !== undefined && value[SENDER] !== sender) {
    throw new InvalidOptionError(method, 'given a signature of the same app', value);
  }
  return value;
}

/** Whether an object follows the arguments that a method has: options, which it would drop. Callbacks of arrays get a number. */
export function hasOptions([next]: readonly unknown[]): boolean {
  return typeof next === 'object' && next !== null;
}

/** The error for options where a method takes none. @param instead What takes them. */
export function droppedOptions(
  method: string,
  instead: string,
  [given]: readonly unknown[],
): InvalidOptionError {
  return new InvalidOptionError(
    method,
    `called without options, which it would drop (use ${instead})`,
    given,
  );
}

/** A call described but not sent. The public, typed face of it is `Signature`. */
export class TaskSignature implements Plannable {
  readonly #expression: TaskExpression;
  readonly [SENDER]: Sender | undefined;

  constructor(expression: TaskExpression, sender: Sender | undefined) {
    this.#expression = Object.freeze(expression);
    this[SENDER] = sender;
  }

  delay(input?: unknown, ...more: unknown[]): Promise<AsyncResult<unknown>> {
    return hasOptions(more)
      ? Promise.reject(droppedOptions('delay', 'applyAsync(input, { … })', more))
      : this.applyAsync(input);
  }

  applyAsync(input: unknown, options: SendOptions<never> = {}): Promise<AsyncResult<unknown>> {
    const sender = this[SENDER];
    return sender === undefined
      ? Promise.reject(new UnboundTaskError(this.#expression.task))
      : sender.send(this.#expression, input, options);
  }

  async sendMany(inputs: Iterable<unknown>, options: BulkOptions = {}): Promise<AsyncResult<unknown>[]> {
    checkOptions(options, BULK_OPTIONS);
    return this.#bound().sendMany(this.#expression, inputs, options);
  }

  [PLAN](path?: string, surroundings?: Surroundings): FlowNode {
    const sender = this.#bound();
    return planned(this.#expression, sender, path, surroundings);
  }

  #bound(): Sender {
    const sender = this[SENDER];
    if (sender === undefined) throw new UnboundTaskError(this.#expression.task);
    return sender;
  }

  set(options: SignatureOptions): TaskSignature {
    const merged = mergeOptions(this.#expression.options, normalizeOptions(options, 0, SIGNATURE_OPTIONS)); // no eta, so no time
    return new TaskSignature({ ...this.#expression, options: merged }, this[SENDER]);
  }

  tag(...labels: string[]): TaskSignature {
    return this.set({ tags: labels });
  }

  link(callback: unknown): TaskSignature {
    return this.#linked('success', callbackOf('link', callback, this[SENDER]));
  }

  linkError(callback: unknown): TaskSignature {
    return this.#linked('failure', callbackOf('linkError', callback, this[SENDER]));
  }

  finally(callback: unknown): TaskSignature {
    return this.#linked('always', callbackOf('finally', callback, this[SENDER]));
  }

  #linked(moment: keyof CallbackExpressions, callback: Signed): TaskSignature {
    const callbacks = withCallback(this.#expression.callbacks, moment, callback.toJSON());
    return new TaskSignature({ ...this.#expression, callbacks }, this[SENDER] ?? callback[SENDER]);
  }

  graph(): RunGraph {
    return plannedGraph(this[PLAN]());
  }

  pipe(next: unknown): object {
    return piped(this, next);
  }

  toJSON(): TaskExpression {
    return this.#expression;
  }
}

refuseUnbound(TaskSignature, 'call');
