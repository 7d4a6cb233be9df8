/**
 * Options that were given as the input of a call that needs none.
 *
 * `checkout().applyAsync({ idempotencyKey })` gives the key to the schemas of the tasks. Most of them drop keys that they
 * do not know, so that the call is sent without its options and nobody notices. `Sending` refuses such a call, unless the
 * input has an effect: some tasks take keys that options have, too.
 */
import { isDeepStrictEqual } from 'node:util';
import { ValidationError } from '../errors.js';
import { completeInput } from '../flow/input.js';
import { type FlowNode, INTERNAL_QUEUE } from '../flow/node.js';
import { jobsOf } from '../flow/walk.js';
import { isSendOption } from '../tasks/options.js';
import type { Registry } from '../tasks/registry.js';
import type { Schema } from '../types/task.js';
import { isPlainObject } from '../wire/plain-object.js';

/** Part of a call that the input of the sender goes to. */
interface Taker {
  readonly task: string;
  /** What is bound of its input. */
  readonly input?: unknown;
  readonly into?: string;
}

/** Whether an input has the names of options, and no others. */
export function looksLikeOptions(input: unknown): input is Record<string, unknown> {
  if (typeof input !== 'object' || input === null) return false;
  let hasAny = false;
  for (const key in input) {
    if (!isSendOption(key)) return false;
    hasAny = true;
  }
  return hasAny && isPlainObject(input);
}

/** How the call is to be written instead. */
export function optionsComeSecond(input: Record<string, unknown>, first = 'undefined'): string {
  const names = Object.keys(input);
  const [are, they] = names.length > 1 ? ['are options', 'they come'] : ['is an option', 'it comes'];
  const listed = names.map((name) => `\`${name}\``).join(', ');
  return `${listed} ${are} of the call, not input; ${they} second: applyAsync(${first}, { ${names.join(', ')} })`;
}

/** @throws {ValidationError} if the input would be dropped by the task, and has the names of options. */
export async function refuseMistakenOptions(
  registry: Registry,
  input: Record<string, unknown>,
  takers: Iterable<Taker>,
): Promise<void> {
  let refused: Taker | undefined;
  let isBound = true;
  for (const taker of takers) {
    const schema = registry.get(taker.task)?.input;
    // Who takes the whole of it, or is not known here, may well have a use for it.
    if (taker.into !== undefined || schema === undefined) return;
    const without = await acceptedWithout(schema, taker);
    if (without === undefined || (await hasEffect(schema, taker, input, without.decoded))) return;
    refused ??= taker;
    isBound &&= taker.input !== undefined || without.given === undefined;
  }
  if (refused === undefined) return;
  const message = optionsComeSecond(input, isBound ? 'undefined' : '{}');
  throw new ValidationError(refused.task, 'input', [{ path: 'input', message }]);
}

/** The tasks of a run that are given its input; undefined if more than tasks is. */
export function takersOf(root: FlowNode): Taker[] | undefined {
  const takers: Taker[] = [];
  for (const { name: task, queue, open, input, into, items, children, after } of jobsOf(root)) {
    // A group without members takes any input.
    if (after !== undefined && children?.length === 0) return undefined;
    if (open !== true) continue;
    if (queue === INTERNAL_QUEUE || items !== undefined) return undefined;
    takers.push({ task, input, ...(into !== undefined && { into }) });
  }
  return takers;
}

/** What a task receives of a call without input; undefined if it needs one. */
async function acceptedWithout(
  schema: Schema,
  { input }: Taker,
): Promise<{ given: unknown; decoded: unknown } | undefined> {
  for (const given of input === undefined ? [undefined, {}] : [input]) {
    const outcome = await schema['~standard'].validate(given);
    if (outcome.issues === undefined) return { given, decoded: outcome.value };
  }
  return undefined;
}

/** Whether a task receives anything else with the input than without it. */
async function hasEffect(
  schema: Schema,
  taker: Taker,
  input: Record<string, unknown>,
  without: unknown,
): Promise<boolean> {
  const whole = await schema['~standard'].validate(completeInput(taker.task, taker, input));
  if (whole.issues !== undefined) return false;
  if (isDeepStrictEqual(whole.value, without)) return false;
  if (!isPlainObject(whole.value) || !isPlainObject(without)) return true;
  // Defaults such as a new id or the time differ from one look to the next.
  const again = await acceptedWithout(schema, taker);
  const other = isPlainObject(again?.decoded) ? again.decoded : without;
  const keys = new Set([...Object.keys(whole.value), ...Object.keys(without)]);
  for (const key of keys) {
    const isSteady = isDeepStrictEqual(without[key], other[key]);
    if (isSteady && !isDeepStrictEqual(whole.value[key], without[key])) return true;
  }
  return false;
}
