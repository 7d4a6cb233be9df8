import { isPlainObject } from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import type { Comparison, Condition } from './expression.js';
import { nameOf } from './part.js';

type Check = readonly [expected: string, fits: (value: unknown) => boolean];

const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

const SCALAR: Check = ['a text, a number, true, false or null', isScalar];
const ORDERED: Check = [
  'a text or a number',
  (value) => typeof value === 'string' || typeof value === 'number',
];

const COMPARISONS: Readonly<Record<keyof Exclude<Comparison, string | number | boolean | null>, Check>> = {
  eq: SCALAR,
  ne: SCALAR,
  gt: ORDERED,
  gte: ORDERED,
  lt: ORDERED,
  lte: ORDERED,
  in: [`a list of these: ${SCALAR[0]}`, (value) => Array.isArray(value) && value.every(isScalar)],
  exists: ['true or false', (value) => typeof value === 'boolean'],
};

/** The value as a condition. @throws {CanvasError} naming the place of what cannot be in one, below `path`. */
export function checkCondition(value: unknown, path: string): Condition {
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(
      `${path} must be an object with at least one key and what its value has to be, not ${nameOf(value)}.`,
    );
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, comparison]) => [key, checkComparison(comparison, `${path}.${key}`)]),
  );
}

function checkComparison(value: unknown, path: string): Comparison {
  if (isScalar(value)) return value as Comparison; // it is one of those
  if (!isPlainObject(value) || Object.keys(value).length === 0) {
    throw new CanvasError(`${path} must be ${SCALAR[0]}, or an object of comparisons, not ${nameOf(value)}.`);
  }
  for (const [name, operand] of Object.entries(value)) {
    const check = Object.hasOwn(COMPARISONS, name)
      ? COMPARISONS[name as keyof typeof COMPARISONS]
      : undefined;
    if (check === undefined) {
      const known = Object.keys(COMPARISONS).join(', ');
      throw new CanvasError(`${path}.${name} is no comparison; there are ${known}.`);
    }
    const [expected, fits] = check;
    if (!fits(operand)) throw new CanvasError(`${path}.${name} must be ${expected}, not ${nameOf(operand)}.`);
  }
  return { ...value };
}
