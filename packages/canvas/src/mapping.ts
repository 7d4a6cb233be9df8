/** One step over many inputs: what `map`, `starmap` and `chunks` have in common. */
import { completeInput, SENDER, type TaskExpression } from '@umbel/core/internal';
import { Composition } from './composition.js';
import { CanvasError } from './errors.js';
import type { CanvasExpression, MapExpression } from './expression.js';
import { inSlices, isLazy, LazyList, type LazySource, readerOf } from './lazy.js';
import { expressionOf, nameOf, type Part, partOf } from './part.js';

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
    throw new CanvasError(`Only calls of one task can be packed in chunks, not a ${step.kind}. Use map.`);
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
