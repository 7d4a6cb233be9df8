/** What compositions are made of. */
import { UmbelError } from '@umbel/core';
import { isSigned, SENDER, type Sender, type Signed } from '@umbel/core/internal';
import type { CanvasExpression } from './expression.js';

/** A composition that cannot be built or sent as it is. Thrown before anything is stored. */
export class CanvasError extends UmbelError {
  override readonly name = 'CanvasError';
  readonly code = 'CANVAS';
}

/** The property under which a composition holds its expression, which need not be plain data. */
export const EXPRESSION: unique symbol = Symbol.for('umbel.expression');

/** A task, a signature or a composition, at run time. */
export interface Part extends Signed {
  readonly [EXPRESSION]?: CanvasExpression;
  toJSON(): CanvasExpression;
}

/**
 * The value as a part of a composition.
 * @throws {CanvasError} naming its place if it is not a signature.
 */
export function partOf(value: unknown, place: string): Part {
  if (isSigned(value)) return value as Part; // every signature gives an expression of these
  throw new CanvasError(
    `${place} is ${nameOf(value)}, not a step. Pass a task, a signature (task.s(…), task.si(…)) or a workflow; ` +
      '.delay() already sends the call.',
  );
}

/** The expression of a part, whose members may be read lazily. */
export function expressionOf(part: Part): CanvasExpression {
  return part[EXPRESSION] ?? part.toJSON();
}

/** The app of the parts. @throws {CanvasError} if they belong to different apps. */
export function senderOf(parts: readonly Pick<Part, typeof SENDER>[]): Sender | undefined {
  return oneSender(parts.map((part) => part[SENDER]));
}

/** The one app among these. @throws {CanvasError} if there are several. */
export function oneSender(found: readonly (Sender | undefined)[]): Sender | undefined {
  const senders = new Set(found.filter((sender) => sender !== undefined));
  if (senders.size > 1) {
    throw new CanvasError(
      'The steps belong to different apps, but one app stores a run. Use tasks of one app.',
    );
  }
  const [sender] = senders;
  return sender;
}

/** What a value is, for a message. */
export function nameOf(value: unknown): string {
  if (value instanceof Promise) return 'a promise';
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object'
    ? `an object (${value.constructor?.name ?? 'without a class'})`
    : `a ${typeof value}`;
}
