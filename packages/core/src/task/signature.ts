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

// The seam to compositions: they are made and planned by `@umbel/canvas`, which this package does not know.

/** What planning has to know of an app. */
export type Planning = Pick<Sender, 'optionsOf' | 'maxMembers'>;

/** The options of a call, its task's included. It is routed by its own headers, over those of what it is a part of. */
export type OptionsOf = (
  expression: TaskExpression,
  headers?: Headers,
) => NormalizedOptions & { readonly queue: string };

type Headers = Readonly<Record<string, string>> | undefined;

/** The workflow that what is planned becomes a part of. */
export interface Surroundings {
  /** Its options: those of a call win. */
  readonly options: NormalizedOptions;
  readonly headers?: Headers;
}

interface Canvas {
  /** The chain of a signature and what may be its next step. */
  readonly pipe: (first: object, next: unknown) => object;
  /** The jobs of an expression: the one that gives its value at a path, or without one what is sent by itself. */
  readonly plan: (
    expression: Expression,
    planning: Planning,
    path?: string,
    surroundings?: Surroundings,
  ) => JobNode;
}

let canvas: Canvas | undefined;

/** Says how compositions are made and planned. */
export function provideCanvas(provided: Canvas): void {
  canvas = provided;
}

/**
 * The chain of the two.
 * @throws {CanvasNotLoadedError} if nothing says how it is made.
 */
export function piped(first: object, next: unknown): object {
  return loaded('`.pipe()`, which makes a chain,').pipe(first, next);
}

/**
 * The jobs of an expression, see `Canvas`.
 * @throws {CanvasNotLoadedError} if it is more than one call, and nothing says how it is planned.
 */
export function planned(
  expression: Expression,
  planning: Planning,
  path?: string,
  surroundings?: Surroundings,
): JobNode {
  if (isCall(expression) && expression.callbacks === undefined)
    return callNode(expression, planning, path ?? '', surroundings);
  return loaded('A composition').plan(expression, planning, path, surroundings);
}

function callNode(
  expression: TaskExpression,
  planning: Planning,
  path: string,
  { options: above, headers }: Surroundings = { options: NO_OPTIONS },
): JobNode {
  const { task, input, into, immutable } = expression;
  const own = mergeOptions(above, expression.options ?? NO_OPTIONS);
  const all = planning.optionsOf({ ...expression, options: own }, headers);
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

function loaded(what: string): Canvas {
  if (canvas === undefined) throw new CanvasNotLoadedError(what);
  return canvas;
}

// What is sent once a node has ended, kept in its expression.

/** What is sent after a node, each once. */
export interface CallbackExpressions {
  /** With the result. */
  readonly success?: readonly Expression[];
  /** With a `FailureRecord`. */
  readonly failure?: readonly Expression[];
  /** With a `StepOutcome`, whatever it is. */
  readonly always?: readonly Expression[];
}

/** The callbacks with one more. One that is there already, by its data, is not added again. */
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

// Methods that are called without their object: `[1, 2].map(task.delay)`, `process.once('SIGTERM', worker.close)`. The
// error of the language would name a private field; this one says what to write.

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Makes the methods of a class refuse to be called without an object of it.
 * @param owner The name of a variable that holds such an object, for the message.
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
    root: JobNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MemberStream[],
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
  [PLAN](path?: string, surroundings?: Surroundings): JobNode;
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
