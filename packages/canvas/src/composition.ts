/** What chains, groups and chords have in common at run time: they are signatures made of signatures. */
import type { AsyncResult, BulkOptions, SendOptions, SignatureOptions } from '@umbel/core';
import {
  type FlowNode,
  normalizeOptions,
  PLAN,
  type Plannable,
  SENDER,
  type Sender,
} from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import type { CanvasExpression } from './expression.js';
import { planned, submit } from './submit.js';

/** A task, a signature or a composition, at run time. */
export interface Part {
  readonly [SENDER]: Sender | undefined;
  toJSON(): CanvasExpression;
}

/** The run-time side of a composed signature. The public, typed face of it is `Signature`. */
export class Composition implements Part, Plannable {
  readonly #expression: CanvasExpression;
  readonly [SENDER]: Sender | undefined;

  constructor(expression: CanvasExpression, sender: Sender | undefined) {
    this.#expression = Object.freeze(expression);
    this[SENDER] = sender;
  }

  delay(input?: unknown): Promise<AsyncResult<unknown>> {
    return this.applyAsync(input);
  }

  async applyAsync(input: unknown, options: SendOptions<never> = {}): Promise<AsyncResult<unknown>> {
    return submit(this.#expression, this[SENDER], input, options);
  }

  async sendMany(inputs: Iterable<unknown>, options: BulkOptions = {}): Promise<AsyncResult<unknown>[]> {
    const results: AsyncResult<unknown>[] = [];
    for (const input of inputs) results.push(await this.applyAsync(input, options));
    return results;
  }

  [PLAN](): FlowNode {
    return planned(this.#expression, this[SENDER]);
  }

  set(options: SignatureOptions): Composition {
    const merged = { ...this.#expression.options, ...normalizeOptions(options, 0) }; // no eta, so no time
    return new Composition({ ...this.#expression, options: merged }, this[SENDER]);
  }

  toJSON(): CanvasExpression {
    return this.#expression;
  }
}

/**
 * The value as a part of a composition.
 * @throws {CanvasError} naming its place if it is not a signature.
 */
export function partOf(value: unknown, place: string): Part {
  if (typeof value === 'object' && value !== null && SENDER in value) return value as Part; // only signatures have it
  throw new CanvasError(
    `${place} is ${nameOf(value)}, not a step. Pass a task, a signature (task.s(…), task.si(…)) or a composition; ` +
      '.delay() already sends the call.',
  );
}

/** The app of the parts. @throws {CanvasError} if they belong to different apps. */
export function senderOf(parts: readonly Part[]): Sender | undefined {
  const senders = new Set(parts.map((part) => part[SENDER]).filter((sender) => sender !== undefined));
  if (senders.size > 1) {
    throw new CanvasError('The steps belong to different apps; a run lives in the store of one app.');
  }
  const [sender] = senders;
  return sender;
}

function nameOf(value: unknown): string {
  if (value instanceof Promise) return 'a promise';
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object'
    ? `an object (${value.constructor?.name ?? 'without a class'})`
    : `a ${typeof value}`;
}
