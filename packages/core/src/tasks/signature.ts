import { UnboundTaskError } from '../errors.js';
import type { FlowNode } from '../flow/node.js';
import type { AsyncResult } from '../results/async-result.js';
import {
  type BulkOptions,
  type NormalizedOptions,
  normalizeOptions,
  type SendOptions,
  type SignatureOptions,
} from './options.js';

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
}

/** An app as its signatures, and compositions of them, see it. */
export interface Sender {
  /** Sends one call. */
  send(
    expression: TaskExpression,
    input: unknown,
    options: SendOptions<never>,
  ): Promise<AsyncResult<unknown>>;
  /** Sends many calls. */
  sendMany(
    expression: TaskExpression,
    inputs: Iterable<unknown>,
    options: BulkOptions,
  ): Promise<AsyncResult<unknown>[]>;
  /** Sends a planned run, giving `input` to its open nodes. The result's id is the run's. */
  sendRun(root: FlowNode, input: unknown, options: SendOptions<never>): Promise<AsyncResult<unknown>>;
  /** Options as plain data, by this app's clock. */
  normalizeOptions(options: SendOptions<never>): NormalizedOptions;
  /** The options of a call: its own over those of its task. */
  optionsOf(expression: TaskExpression): NormalizedOptions & { readonly queue: string };
}

/** The property under which every signature, composed ones too, holds its app; absent until it is bound. */
export const SENDER: unique symbol = Symbol.for('umbel.sender');

/** The method by which every signature gives the tree of jobs that runs it. */
export const PLAN: unique symbol = Symbol.for('umbel.plan');

export interface Plannable {
  [PLAN](): FlowNode;
}

/** A call described but not sent. The public, typed face of it is `Signature`. */
export class TaskSignature implements Plannable {
  readonly #expression: TaskExpression;
  readonly [SENDER]: Sender | undefined;

  constructor(expression: TaskExpression, sender: Sender | undefined) {
    this.#expression = Object.freeze(expression);
    this[SENDER] = sender;
  }

  delay(input?: unknown): Promise<AsyncResult<unknown>> {
    return this.applyAsync(input);
  }

  async applyAsync(input: unknown, options: SendOptions<never> = {}): Promise<AsyncResult<unknown>> {
    return this.#bound().send(this.#expression, input, options);
  }

  async sendMany(inputs: Iterable<unknown>, options: BulkOptions = {}): Promise<AsyncResult<unknown>[]> {
    return this.#bound().sendMany(this.#expression, inputs, options);
  }

  [PLAN](): FlowNode {
    const { task, input, into, immutable } = this.#expression;
    const { queue, ...options } = this.#bound().optionsOf(this.#expression);
    return {
      path: '',
      name: task,
      queue,
      options,
      ...(input !== undefined && { input }),
      ...(into !== undefined && { into }),
      ...(!immutable && { open: true }),
    };
  }

  #bound(): Sender {
    const sender = this[SENDER];
    if (sender === undefined) throw new UnboundTaskError(this.#expression.task);
    return sender;
  }

  set(options: SignatureOptions): TaskSignature {
    const merged = { ...this.#expression.options, ...normalizeOptions(options, 0) }; // no eta, so no time
    return new TaskSignature({ ...this.#expression, options: merged }, this[SENDER]);
  }

  toJSON(): TaskExpression {
    return this.#expression;
  }
}
