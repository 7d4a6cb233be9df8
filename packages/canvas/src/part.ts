/** This module defines the parts of workflows at run time, and the errors of building them. */
import { UmbelError } from '@umbel/core';
import { isSigned, kindOf, SENDER, type Sender, type Signed } from '@umbel/core/internal';
import type { CanvasExpression } from './expression.js';

/**
 * A workflow cannot be built or sent. Thrown before anything is stored.
 *
 * @example
 * const isInvalid = error instanceof CanvasError;
 */
export class CanvasError extends UmbelError {
  override readonly name = 'CanvasError';
  readonly code = 'CANVAS';
}

/** The property that holds the expression of a workflow. With lazy members it is not plain data. */
export const EXPRESSION: unique symbol = Symbol.for('umbel.expression');

/** A task, a signature or a workflow, at run time. */
export interface Part extends Signed {
  readonly [EXPRESSION]?: CanvasExpression;
  toJSON(): CanvasExpression;
}

/**
 * Returns the value as a part of a workflow. `name` describes it in the error.
 * @throws {CanvasError} if it is not a signature.
 */
export function partOf(value: unknown, name: string): Part {
  if (isSigned(value)) return value as Part; // every signature has `toJSON`
  throw new CanvasError(
    `${name} is ${kindOf(value)}, not a step. Pass a task, a signature (task.s(…), task.si(…)) or a workflow; ` +
      '.delay() already sends the call.',
  );
}

/** Returns the expression of a part, which may have lazy members. */
export function expressionOf(part: Part): CanvasExpression {
  return part[EXPRESSION] ?? part.toJSON();
}

/** Returns the app of the parts. @throws {CanvasError} if they belong to different apps. */
export function senderOf(parts: readonly Pick<Part, typeof SENDER>[]): Sender | undefined {
  return oneSender(parts.map((part) => part[SENDER]));
}

/** Returns the only app among these. @throws {CanvasError} if there are several. */
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
