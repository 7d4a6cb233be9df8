/**
 * Signatures: calls that are described but not sent. This module also defines the interface to `@umbel/canvas`, which
 * composes signatures into workflows and plans their jobs; core does not import that package.
 */
import { isDeepStrictEqual } from 'node:util';
import { CanvasNotLoadedError, InvalidOptionError, UnboundTaskError } from '../base/errors.js';
import { checkOptions } from '../base/option-checks.js';
import type { AsyncResult } from '../client/async-result.js';
import type { MemberStream } from '../job/envelope.js';
import type { JobNode } from '../job/job-tree.js';
import { type NormalizedOptions, sharedOptions } from '../job/shared-options.js';
import { plannedGraph, type RunGraph } from '../workflow/graph.js';
import {
  BULK_OPTIONS,
  type BulkOptions,
  mergeOptions,
  NO_OPTIONS,
  normalizeOptions,
  type SendOptions,
  SIGNATURE_OPTIONS,
  type SignatureOptions,
} from './options.js';

// The interface to `@umbel/canvas`.

/** The part of an app that planning needs. */
export type Planning = Pick<Sender, 'optionsOf' | 'maxMembers'>;

/** Returns the options of a call, including its task's. For routing, `headers` of the workflow are below the call's own. */
export type OptionsOf = (
  expression: TaskExpression,
  headers?: Headers,
) => NormalizedOptions & { readonly queue: string };

type Headers = Readonly<Record<string, string>> | undefined;

/** The workflow that the planned jobs become a part of. */
export interface Surroundings {
  /** Options of the workflow. The options of a call take precedence. */
  readonly options: NormalizedOptions;
  readonly headers?: Headers;
}

interface Canvas {
  /** Returns the chain of a signature and its next step, which is checked. */
  readonly pipe: (first: object, next: unknown) => object;
  /** Returns the job tree of an expression: with `path` as a part of a workflow, without it as a unit that is sent. */
  readonly plan: (
    expression: Expression,
    planning: Planning,
    path?: string,
    surroundings?: Surroundings,
  ) => JobNode;
}

let canvas: Canvas | undefined;

/** Sets the implementation. `@umbel/canvas` calls this when it is imported. */
export function provideCanvas(provided: Canvas): void {
  canvas = provided;
}

/**
 * Returns the chain of the two steps.
 * @throws {CanvasNotLoadedError} if `@umbel/canvas` is not loaded.
 */
export function piped(first: object, next: unknown): object {
  return requireCanvas('`.pipe()`, which makes a chain,').pipe(first, next);
}

/**
 * Returns the job tree of an expression, see `Canvas.plan`. A single call is planned here.
 * @throws {CanvasNotLoadedError} if the expression is a workflow, and `@umbel/canvas` is not loaded.
 */
export function planned(
  expression: Expression,
  planning: Planning,
  path?: string,
  surroundings?: Surroundings,
): JobNode {
  if (isCall(expression) && expression.callbacks === undefined)
    return callNode(expression, planning, path ?? '', surroundings);
  return requireCanvas('A workflow').plan(expression, planning, path, surroundings);
}

function callNode(
  expression: TaskExpression,
  planning: Planning,
  path: string,
  { options: above, headers }: Surroundings = { options: NO_OPTIONS },
): JobNode {
  const { task, input, into, immutable } = expression;
  const merged = mergeOptions(above, expression.options ?? NO_OPTIONS);
  const all = planning.optionsOf({ ...expression, options: merged }, headers);
  const { queue, ...options } = all;
  const shared = sharedOptions(above, all);
  return {
    path,
    name: task,
    queue,
    options,
    ...(input !== undefined && { input }),
    ...(into !== undefined && { into }),
    ...(!immutable && { open: true }),
    ...(shared !== undefined && { content: { shared } }),
  };
}

function isCall(expression: Expression): expression is TaskExpression {
  return expression.kind === 'task';
}

function requireCanvas(feature: string): Canvas {
  if (canvas === undefined) throw new CanvasNotLoadedError(feature);
  return canvas;
}

// Callbacks.

/** The callbacks of a node, each sent once when the node has ended. */
export interface CallbackExpressions {
  /** Sent with the result. */
  readonly success?: readonly Expression[];
  /** Sent with a `FailureRecord`. */
  readonly failure?: readonly Expression[];
  /** Sent with a `StepOutcome`, after success and failure. */
  readonly always?: readonly Expression[];
}

/** Returns the callbacks with one more, unless an equal one is present. */
export function withCallback(
  callbacks: CallbackExpressions = {},
  moment: keyof CallbackExpressions,
  callback: Expression,
): CallbackExpressions {
  const present = callbacks[moment] ?? [];
  return present.some((other) => isDeepStrictEqual(other, callback))
    ? callbacks
    : { ...callbacks, [moment]: [...present, callback] };
}

// Methods called without their object, as in `[1, 2].map(task.delay)` or `process.once('SIGTERM', worker.close)`.
// JavaScript's own error would name a private field; this one says what to write.

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Makes the methods of a class throw an `InvalidOptionError` when they are called without an instance.
 * @param owner An example name of a variable that holds an instance, for the message.
 */
export function refuseUnbound(Class: abstract new (...args: never[]) => object, owner: string): void {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Class.prototype));
  for (const [name, descriptor] of methods) {
    const method = descriptor.value as unknown;
    if (name === 'constructor' || typeof method !== 'function') continue;
    const checked: Method = function (...args) {
      if (this instanceof Class) return (method as Method).apply(this, args);
      const instead = `called on its object (write \`(…) => ${owner}.${name}(…)\` instead of \`${owner}.${name}\`)`;
      throw new InvalidOptionError(name, instead, this);
    };
    Object.defineProperty(checked, 'name', { value: name });
    Object.defineProperty(Class.prototype, name, { ...descriptor, value: checked });
  }
}

/** A call or a workflow as plain data; `kind` says which. */
export interface Expression {
  readonly kind: string;
}

/** A call of one task. */
export interface TaskExpression extends Expression {
  readonly kind: 'task';
  readonly task: string;
  /** The whole input of an immutable call, otherwise the bound keys. */
  readonly input?: unknown;
  /** The key that receives the result of the previous step. */
  readonly into?: string;
  /** Ignores the result of the previous step. */
  readonly immutable?: true;
  readonly options?: NormalizedOptions;
  readonly callbacks?: CallbackExpressions;
}

/** The part of an app that signatures and workflows use. */
export interface Sender {
  /** Sends one call. `shared`: the options of a workflow that consists of this call only. Default: `options`. */
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
  /** Sends a planned workflow, with `input` for its open nodes. The id of the result is the id of the run. */
  sendRun(
    root: JobNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MemberStream[],
  ): Promise<AsyncResult<unknown>>;
  /** Settles when the store's time is known, which some options depend on; undefined if they do not, or it is known. */
  timeKnown(options: SendOptions<never>): Promise<void> | undefined;
  /** Converts options to plain data, by this app's clock. */
  normalizeOptions(options: SendOptions<never>): NormalizedOptions;
  /** Returns the options of a call, merged over those of its task. */
  optionsOf: OptionsOf;
  /** Maximum number of members of a group that is declared as a list. */
  readonly maxMembers: number;
}

/** The property of every signature and workflow that holds its app; undefined until it is bound. */
export const SENDER: unique symbol = Symbol.for('umbel.sender');

/** The method of every signature and workflow that plans its job tree. */
export const PLAN: unique symbol = Symbol.for('umbel.plan');

export interface Plannable {
  /** Plans the job tree: with `path` as a part of a workflow, without it as a unit that is sent (a run or a single job). */
  [PLAN](path?: string, surroundings?: Surroundings): JobNode;
}

/** The runtime interface of every signature and workflow. */
export interface Signed {
  readonly [SENDER]: Sender | undefined;
  toJSON(): Expression;
}

/** Returns true for tasks, signatures and workflows. */
export function isSigned(value: unknown): value is Signed {
  return typeof value === 'object' && value !== null && SENDER in value; // only signatures have this property
}

/** Returns `value` as a callback. @throws {InvalidOptionError} if it is no signature, or belongs to another app. */
export function callbackOf(method: string, value: unknown, sender: Sender | undefined): Signed {
  if (!isSigned(value)) {
    throw new InvalidOptionError(method, 'called with a task, a signature or a workflow', value);
  }
  if (sender !== undefined && value[SENDER] !== undefined && value[SENDER] !== sender) {
    throw new InvalidOptionError(method, 'called with a signature of the same app', value);
  }
  return value;
}

/**
 * Returns whether an extra argument is an object: options, which the method would ignore. (Array methods pass a number as
 * the extra argument of a callback.)
 */
export function hasOptions([next]: readonly unknown[]): boolean {
  return typeof next === 'object' && next !== null;
}

/** Returns the error for options of a method that takes none. @param instead The code that accepts options. */
export function droppedOptions(
  method: string,
  instead: string,
  [options]: readonly unknown[],
): InvalidOptionError {
  return new InvalidOptionError(
    method,
    `called without options, which it would ignore (use ${instead})`,
    options,
  );
}

/** A call that is described but not sent. Its public, typed interface is `Signature`. */
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

  [PLAN](path?: string, surroundings?: Surroundings): JobNode {
    const sender = this.#bound();
    return planned(this.#expression, sender, path, surroundings);
  }

  #bound(): Sender {
    const sender = this[SENDER];
    if (sender === undefined) throw new UnboundTaskError(this.#expression.task);
    return sender;
  }

  set(options: SignatureOptions): TaskSignature {
    // The time is 0, because signatures have no `eta`.
    const merged = mergeOptions(this.#expression.options, normalizeOptions(options, 0, SIGNATURE_OPTIONS));
    return new TaskSignature({ ...this.#expression, options: merged }, this[SENDER]);
  }

  named(name: string): TaskSignature {
    return this.set({ displayName: name });
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
