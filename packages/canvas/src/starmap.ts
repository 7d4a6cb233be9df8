import type { Signature, Step } from '@umbel/core';
import { CanvasError } from './errors.js';
import { mapping } from './mapping.js';
import type { Inputs, Row, Unlisted } from './types/flow.js';

/**
 * As `map`, with inputs as rows of values: the first value of a row goes under the first key, and so on. Without rows it
 * stands after a step that gives a list of rows.
 *
 *     starmap(add, ['x', 'y'], [[1, 2], [3, 4]])   // [3, 7]
 *
 * The first failure fails the whole. No rows give `[]`. Rows other than arrays of rows are read while they are sent; such
 * a map has no JSON.
 * @throws {CanvasError} if the step is not one, the keys are not, or a row has not one value for each key; of a row that
 *   is read lazily, when it is sent.
 */
export function starmap<In, Out, const Keys extends readonly (keyof In)[]>(
  step: Step<string, In, Out>,
  keys: Keys & Unlisted<In, Keys[number]>,
): Signature<'starmap', readonly Row<In, Keys>[], Out[]>;
export function starmap<In, Out, const Keys extends readonly (keyof In)[]>(
  step: Step<string, In, Out>,
  keys: Keys & Unlisted<In, Keys[number]>,
  rows: Inputs<Row<In, Keys>>,
): Signature<'starmap', unknown, Out[]>;
export function starmap(step: unknown, keys: unknown, ...rows: unknown[]): unknown {
  return mapping({
    by: 'starmap',
    step,
    keys: checkKeys(keys),
    ...(rows.length > 0 && { inputs: rows[0] }),
  });
}

/** @throws {CanvasError} unless the keys are texts, each once. */
function checkKeys(keys: unknown): string[] {
  const isKeys = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  if (isKeys && new Set(keys).size === keys.length) return [...keys];
  throw new CanvasError('The keys of starmap must be a list of texts, each of them once.');
}
