import type { Signature, Step } from '@umbel/core';
import { checkInteger, completeInput, SENDER, type TaskExpression } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { CanvasExpression, MapExpression } from './expression.js';
import { inSlices, isLazy, LazyList, type LazySource, readerOf } from './lazy.js';
import { CanvasError, expressionOf, nameOf, type Part, partOf } from './part.js';
import type { Inputs, OneCall, Row, Unlisted } from './types/flow.js';

// One step over many inputs: what `map`, `starmap` and `chunks` have in common.

interface Mapping {
  /** What a user called. */
  readonly by: 'map' | 'starmap' | 'chunks';
  readonly step: unknown;
  /** Absent: the list that the previous step gives. */
  readonly inputs?: unknown;
  /** The inputs are rows, whose values go under these keys. */
  readonly keys?: readonly string[];
  /** So many inputs in one job. */
  readonly chunkSize?: number;
}

/** @throws {CanvasError} if the step is none, or the inputs are no list. */
export function mapping({ by, step: value, keys, chunkSize, ...given }: Mapping): Composition {
  const part = partOf(value, `The step of ${by}`);
  const step = expressionOf(part);
  if (chunkSize !== undefined && step.kind !== 'task') {
    throw new CanvasError(`The step of chunks must be a call of one task, not a ${step.kind}. Use map.`);
  }
  const packed = { ...(keys !== undefined && { keys }), ...(chunkSize !== undefined && { chunkSize }) };
  if (!('inputs' in given)) return new Composition({ kind: 'map', step, ...packed }, part[SENDER]);
  const { inputs } = given;
  if (Array.isArray(inputs)) {
    for (const [index, row] of inputs.entries()) inputOf(row, index, keys);
    return new Composition({ kind: 'map', step, inputs: [...inputs], ...packed }, part[SENDER]);
  }
  if (isLazy(inputs)) return lazily(part, inputs, packed);
  throw new CanvasError(`The inputs of ${by} are ${nameOf(inputs)}, not a list or an iterable.`);
}

/** A group with a member for each input, or for each chunk of them, that is read while it is sent. */
function lazily(
  part: Part,
  inputs: LazySource<unknown>,
  { keys, chunkSize }: Pick<MapExpression, 'keys' | 'chunkSize'>,
): Composition {
  const step = expressionOf(part);
  const reader = readerOf(inputs);
  const memberOf = (expression: CanvasExpression) => ({ expression, [SENDER]: part[SENDER] });
  if (step.kind === 'task' && chunkSize === undefined) {
    const members = new LazyList(reader, (item, index) => memberOf(filled(step, inputOf(item, index, keys))));
    return new Composition({ kind: 'group', members }, part[SENDER]);
  }
  // Each member gives the list of its own results.
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

/** The call with its whole input. @throws {ValidationError} if keys are bound and the input is no object. */
function filled(call: TaskExpression, input: unknown): TaskExpression {
  if (call.immutable) return call;
  const { input: _bound, into: _into, ...rest } = call;
  const whole = completeInput(call.task, call, input);
  return { ...rest, immutable: true, ...(whole !== undefined && { input: whole }) };
}

/** The item itself, or its values under the keys. @throws {CanvasError} if it does not fit the keys. */
function inputOf(item: unknown, index: number, keys: readonly string[] | undefined): unknown {
  if (keys === undefined) return item;
  const place = `Row ${index + 1} of starmap`;
  if (!Array.isArray(item)) throw new CanvasError(`${place} is ${nameOf(item)}, not a list of values.`);
  if (item.length !== keys.length) {
    const list = keys.map((key) => `"${key}"`).join(', ');
    throw new CanvasError(`${place} has ${item.length} values for the ${keys.length} keys ${list}.`);
  }
  return Object.fromEntries(keys.map((key, position) => [key, item[position]]));
}

/**
 * One step over many inputs, in parallel: the results in the order of the inputs. Without inputs it stands after a step
 * that gives a list, and runs once for each item. The step may be a task, a signature with bound keys (each input fills
 * the others) or a composition.
 *
 * The first failure fails the whole. No inputs give `[]`. Inputs other than arrays are read while they are sent; such a
 * map has no JSON.
 * @throws {CanvasError} if the step is not one, or the inputs are no list.
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
  throw new CanvasError('The keys of starmap must be a list of different strings.');
}

/**
 * As `map`, with `size` inputs packed in one job, which runs them one after the other: one flat list of results in the
 * order of the inputs. For many short calls of one task. Without inputs it stands after a step that gives a list.
 *
 * A failing input fails its job, and the error names the index of that input. No inputs give `[]`. Inputs other than
 * arrays are read while they are sent; such a composition has no JSON.
 * @throws {CanvasError} if the step is not a call of one task, or the inputs are no list.
 * @throws {InvalidOptionError} unless `size` is a whole number of at least 1.
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
  const chunkSize = checkInteger('size', args.at(-1) as number, 1, Number.MAX_SAFE_INTEGER); // it is what checks it
  return mapping({ by: 'chunks', step, chunkSize, ...(args.length > 1 && { inputs: args[0] }) });
}
