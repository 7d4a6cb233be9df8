/** This module builds `map`, `starmap` and `chunks`: one step that runs for many inputs. */
import type { Signature, Step } from '@umbel/core';
import { checkInteger, completeInput, kindOf, SENDER, type TaskExpression } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { CanvasExpression, MapExpression } from './expression.js';
import { inSlices, isLazy, LazyList, type LazySource, readerOf } from './lazy.js';
import { CanvasError, expressionOf, type Part, partOf } from './part.js';
import type { Inputs, OneCall, Row, Unlisted } from './types/flow.js';

interface Mapping {
  /** The function that the user called, for messages. */
  readonly by: 'map' | 'starmap' | 'chunks';
  readonly step: unknown;
  /** Absent: the list that the previous step returns. */
  readonly inputs?: unknown;
  /** The keys for the values of each input, which is a row of values. */
  readonly keys?: readonly string[];
  /** The number of inputs in one job. */
  readonly chunkSize?: number;
}

/** @throws {CanvasError} if the step is not a step, or the inputs are not a list. */
function mapping({ by, step: value, keys, chunkSize, ...rest }: Mapping): Composition {
  const part = partOf(value, `The step of ${by}`);
  const step = expressionOf(part);
  if (chunkSize !== undefined && step.kind !== 'task') {
    throw new CanvasError(`The step of chunks must be a call of one task, not a ${step.kind}. Use map.`);
  }
  const packed = { ...(keys !== undefined && { keys }), ...(chunkSize !== undefined && { chunkSize }) };
  if (!('inputs' in rest)) return new Composition({ kind: 'map', step, ...packed }, part[SENDER]);
  const { inputs } = rest;
  if (Array.isArray(inputs)) {
    for (const [index, row] of inputs.entries()) inputOf(row, index, keys);
    return new Composition({ kind: 'map', step, inputs: [...inputs], ...packed }, part[SENDER]);
  }
  if (isLazy(inputs)) return lazyMapping(part, inputs, packed);
  throw new CanvasError(`The inputs of ${by} are ${kindOf(inputs)}, not a list or an iterable.`);
}

/** Returns a group of lazy members: one for each input, or for each chunk of inputs. */
function lazyMapping(
  part: Part,
  inputs: LazySource<unknown>,
  { keys, chunkSize }: Pick<MapExpression, 'keys' | 'chunkSize'>,
): Composition {
  const step = expressionOf(part);
  const reader = readerOf(inputs);
  const memberOf = (expression: CanvasExpression) => ({ expression, [SENDER]: part[SENDER] });
  if (step.kind === 'task' && chunkSize === undefined) {
    const members = new LazyList(reader, (item, index) =>
      memberOf(fillCall(step, inputOf(item, index, keys))),
    );
    return new Composition({ kind: 'group', members }, part[SENDER]);
  }
  // Each member returns a list, so the group is flattened.
  const members =
    chunkSize === undefined
      ? new LazyList(reader, (item, index) =>
          memberOf({ kind: 'map', step, inputs: [inputOf(item, index, keys)] }),
        )
      : new LazyList(inSlices(reader, chunkSize), (slice, index) =>
          memberOf({
            kind: 'map',
            step,
            inputs: slice as unknown[],
            chunkSize,
            offset: index * chunkSize,
          }),
        );
  return new Composition({ kind: 'flat', step: { kind: 'group', members } }, part[SENDER]);
}

/** Returns the call with its whole input. @throws {ValidationError} if keys are bound and the input is not an object. */
function fillCall(call: TaskExpression, input: unknown): TaskExpression {
  if (call.immutable) return call;
  const { input: _bound, into: _into, ...rest } = call;
  const whole = completeInput(call.task, call, input);
  return { ...rest, immutable: true, ...(whole !== undefined && { input: whole }) };
}

/** Returns the item, or an object of its values by key. @throws {CanvasError} if it does not fit the keys. */
function inputOf(item: unknown, index: number, keys: readonly string[] | undefined): unknown {
  if (keys === undefined) return item;
  const name = `Row ${index + 1} of starmap`;
  if (!Array.isArray(item)) throw new CanvasError(`${name} is ${kindOf(item)}, not a list of values.`);
  if (item.length !== keys.length) {
    const list = keys.map((key) => `"${key}"`).join(', ');
    throw new CanvasError(`${name} has ${item.length} values for the ${keys.length} keys ${list}.`);
  }
  return Object.fromEntries(keys.map((key, position) => [key, item[position]]));
}

/**
 * Runs a step for many inputs in parallel, and returns the results in the order of the inputs. Without inputs it follows
 * a step that returns a list, and runs once for each item. The step may be a task, a signature with bound keys (each
 * input provides the other keys) or a workflow.
 *
 * The first failure fails the map. An empty list returns `[]`. Inputs other than arrays are read while they are sent;
 * such a map has no JSON form.
 * @throws {CanvasError} if the step is not a step, or the inputs are not a list.
 *
 * @example
 * const sent = await map(sendMail, [{ to: 'a@example.com' }, { to: 'b@example.com' }]).delay();
 */
export function map<In, Out>(step: Step<string, In, Out>): Signature<'map', readonly In[], Out[]>;
export function map<In, Out>(
  step: Step<string, In, Out>,
  inputs: Inputs<NoInfer<In>>,
): Signature<'map', unknown, Out[]>;
export function map(step: unknown, ...inputs: unknown[]): unknown {
  return mapping({ by: 'map', step, ...(inputs.length > 0 && { inputs: inputs[0] }) });
}

/**
 * Runs a step for many rows, as `map` does. Each value of a row becomes the value of the key at the same index. Without
 * rows it follows a step that returns a list of rows.
 *
 * The first failure fails the map. An empty list returns `[]`. Rows other than arrays of rows are read while they are
 * sent; such a map has no JSON form.
 * @throws {CanvasError} if the step is not a step, the keys are invalid, or a row does not have one value for each key.
 *   A lazy row is checked when it is sent.
 *
 * @example
 * const resized = await starmap(resize, ['path', 'width'], [['a.png', 100], ['b.png', 200]]).delay();
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

/** @throws {CanvasError} unless the keys are different strings. */
function checkKeys(keys: unknown): string[] {
  const isKeys = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
  if (isKeys && new Set(keys).size === keys.length) return [...keys];
  throw new CanvasError('The keys of starmap must be a list of different strings.');
}

/**
 * Runs a task for many inputs, as `map` does, but packs `size` inputs into one job, which runs them one after the other.
 * The result is one flat list in the order of the inputs. For many short calls of one task. Without inputs it follows a
 * step that returns a list.
 *
 * A failing input fails its job, and the error has the index of that input. An empty list returns `[]`. Inputs other than
 * arrays are read while they are sent; such a workflow has no JSON form.
 * @throws {CanvasError} if the step is not a call of one task, or the inputs are not a list.
 * @throws {InvalidOptionError} unless `size` is a whole number of at least 1.
 *
 * @example
 * const sent = await chunks(reindex, [{ shop: 1 }, { shop: 2 }, { shop: 3 }], 2).delay();
 */
export function chunks<Name extends string, In, Out>(
  step: Step<Name, In, Out> & OneCall<Name>,
  size: number,
): Signature<'chunks', readonly In[], Out[]>;
export function chunks<Name extends string, In, Out>(
  step: Step<Name, In, Out> & OneCall<Name>,
  inputs: Inputs<NoInfer<In>>,
  size: number,
): Signature<'chunks', unknown, Out[]>;
export function chunks(step: unknown, ...args: unknown[]): unknown {
  const chunkSize = checkInteger('size', args.at(-1) as number, 1, Number.MAX_SAFE_INTEGER); // checks the type
  return mapping({ by: 'chunks', step, chunkSize, ...(args.length > 1 && { inputs: args[0] }) });
}
