/** This module implements the signature of a workflow: the methods of chains, groups and other constructs at run time. */
import {
  type AsyncResult,
  type BulkOptions,
  type SendOptions,
  type SignatureOptions,
  UnboundTaskError,
} from '@umbel/core';
import {
  BULK_OPTIONS,
  type CallbackExpressions,
  callbackOf,
  checkOptions,
  checkText,
  droppedOptions,
  hasOptions,
  type JobNode,
  MAX_DISPLAY_NAME,
  mergeOptions,
  normalizeOptions,
  PLAN,
  type Plannable,
  type Planning,
  piped,
  plannedGraph,
  type RunGraph,
  refuseUnbound,
  SENDER,
  type Sender,
  SIGNATURE_OPTIONS,
  type Signed,
  type Surroundings,
  withCallback,
} from '@umbel/core/internal';
import { type CanvasExpression, checkNesting } from './expression.js';
import { lazyIn } from './lazy.js';
import { CanvasError, EXPRESSION, oneSender, type Part } from './part.js';
import { planExpression, planUnsent, submit } from './submit.js';

/** The run-time side of a composed signature. Its public type is `Signature`. */
export class Composition implements Part, Plannable {
  readonly [EXPRESSION]: CanvasExpression;
  readonly [SENDER]: Sender | undefined;

  constructor(expression: CanvasExpression, sender: Sender | undefined) {
    checkNesting(expression);
    this[EXPRESSION] = Object.freeze(expression);
    this[SENDER] = sender;
  }

  delay(input?: unknown, ...more: unknown[]): Promise<AsyncResult<unknown>> {
    return hasOptions(more)
      ? Promise.reject(droppedOptions('delay', 'applyAsync(input, { … })', more))
      : this.applyAsync(input);
  }

  async applyAsync(input: unknown, options: SendOptions<never> = {}): Promise<AsyncResult<unknown>> {
    const lazy = [...lazyIn(this[EXPRESSION])];
    try {
      const senders = [this[SENDER]];
      for (const members of lazy) senders.push(await members.sender?.());
      return await submit(this[EXPRESSION], oneSender(senders), input, options);
    } finally {
      for (const members of lazy) await members.close?.();
    }
  }

  async sendMany(inputs: Iterable<unknown>, options: BulkOptions = {}): Promise<AsyncResult<unknown>[]> {
    checkOptions(options, BULK_OPTIONS);
    const results: AsyncResult<unknown>[] = [];
    for (const input of inputs) results.push(await this.applyAsync(input, options));
    return results;
  }

  [PLAN](path?: string, surroundings?: Surroundings): JobNode {
    return planExpression(this.toJSON(), this.#planning(), path, surroundings);
  }

  graph(): RunGraph {
    const { root, streams } = planUnsent(this[EXPRESSION], this.#planning());
    return plannedGraph(root, streams);
  }

  set(options: SignatureOptions): Composition {
    const merged = mergeOptions(this[EXPRESSION].options, normalizeOptions(options, 0, SIGNATURE_OPTIONS)); // no eta, so no time
    return new Composition({ ...this[EXPRESSION], options: merged }, this[SENDER]);
  }

  named(name: string): Composition {
    const checked = checkText('name', name, MAX_DISPLAY_NAME);
    return new Composition({ ...this[EXPRESSION], name: checked } as CanvasExpression, this[SENDER]);
  }

  tag(...labels: string[]): Composition {
    return this.set({ tags: labels });
  }

  link(callback: unknown): Composition {
    return this.#linked('success', callbackOf('link', callback, this[SENDER]));
  }

  linkError(callback: unknown): Composition {
    return this.#linked('failure', callbackOf('linkError', callback, this[SENDER]));
  }

  finally(callback: unknown): Composition {
    return this.#linked('always', callbackOf('finally', callback, this[SENDER]));
  }

  #linked(moment: keyof CallbackExpressions, callback: Signed): Composition {
    const callbacks = withCallback(this[EXPRESSION].callbacks, moment, callback.toJSON());
    const expression = { ...this[EXPRESSION], callbacks } as CanvasExpression; // callbacks of signatures are workflows or calls
    return new Composition(expression, this[SENDER] ?? callback[SENDER]);
  }

  pipe(next: unknown): object {
    return piped(this, next);
  }

  #planning(): Planning {
    const unbound: Planning = {
      optionsOf: ({ task }) => {
        throw new UnboundTaskError(task);
      },
      maxMembers: Number.POSITIVE_INFINITY,
    };
    return this[SENDER] ?? unbound;
  }

  /** Returns the workflow as plain data. @throws {CanvasError} if it has lazy members. */
  toJSON(): CanvasExpression {
    for (const _ of lazyIn(this[EXPRESSION])) {
      throw new CanvasError(
        'Lazy members have no JSON form: they are read while they are sent. ' +
          'Read them into an array first: group([...members]).',
      );
    }
    return this[EXPRESSION];
  }
}

refuseUnbound(Composition, 'composition');
