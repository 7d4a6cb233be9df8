/** This module checks inputs before anything is stored: schemas, JSON, sizes, and options passed as input by mistake. */
import { isDeepStrictEqual } from 'node:util';
import { IdempotencyConflictError, ValidationError } from '../base/errors.js';
import { checkText } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { withDefaults } from '../codec/defaults.js';
import { jsonIssues } from '../codec/json.js';
import { sanitize } from '../codec/masking.js';
import { validateInput, validateInputAtOnce } from '../codec/schema.js';
import { INTERNAL_QUEUE, type JobNode, jobsOf, nodesOf } from '../job/job-tree.js';
import { readJob } from '../store/read.js';
import type { Store } from '../store/store.js';
import { idempotentId, inputDigest } from '../task/deduplication.js';
import type { Registry, TaskEntry } from '../task/definition.js';
import { isSendOption } from '../task/options.js';
import type { TaskExpression } from '../task/signature.js';
import type { Schema } from '../task/types/task.js';
import { completeInput } from '../workflow/input.js';

/** Id and stored content of a call with an idempotency key. */
export interface Keyed {
  readonly id: string;
  readonly content: { readonly key: string; readonly digest: string };
}

export function keyedContent(name: string, key: string, input: unknown): Keyed {
  checkText('idempotencyKey', key, 1000);
  return { id: idempotentId(name, key), content: { key, digest: inputDigest(input) } };
}

/** Returns whether the store has the call of this key. @throws {IdempotencyConflictError} if it has a different call. */
export async function isStored(
  store: Store,
  queue: string,
  task: string,
  { id, content }: Keyed,
  timeoutMs: number | undefined,
): Promise<boolean> {
  const stored = await readJob(store, { queue, id }, timeoutMs);
  if (stored === undefined) return false;
  if (stored.envelope?.digest === content.digest) return true;
  throw new IdempotencyConflictError(task, content.key, id);
}

// Options passed as the input of a call that needs none.
// `checkout().applyAsync({ idempotencyKey })` passes the key to the schemas of the tasks. Most schemas drop unknown keys, so
// the call would silently lose its options. `JobSender` rejects such a call, unless the input has an effect: some tasks
// accept keys with the names of options.

/** A task that receives the sender's input. */
interface Receiver {
  readonly task: string;
  /** Bound part of its input. */
  readonly input?: unknown;
  readonly into?: string;
}

/** Returns whether all keys of an input are names of options. */
export function looksLikeOptions(input: unknown): input is Record<string, unknown> {
  if (typeof input !== 'object' || input === null) return false;
  let hasAny = false;
  for (const key in input) {
    if (!isSendOption(key)) return false;
    hasAny = true;
  }
  return hasAny && isPlainObject(input);
}

/** Returns advice on how to pass the options. */
export function optionsComeSecond(input: Record<string, unknown>, first = 'undefined'): string {
  const names = Object.keys(input);
  const [are, they] = names.length > 1 ? ['are options', 'they come'] : ['is an option', 'it comes'];
  const listed = names.map((name) => `\`${name}\``).join(', ');
  return `${listed} ${are} of the call, not input; ${they} second: applyAsync(${first}, { ${names.join(', ')} })`;
}

/** @throws {ValidationError} if the tasks would drop the input, whose keys are names of options. */
async function refuseMistakenOptions(
  registry: Registry,
  input: Record<string, unknown>,
  receivers: Iterable<Receiver>,
): Promise<void> {
  let refused: Receiver | undefined;
  let isBound = true;
  for (const receiver of receivers) {
    const schema = registry.get(receiver.task)?.input;
    // A task that gets the whole input as one value, or is unknown here, may use it.
    if (receiver.into !== undefined || schema === undefined) return;
    const without = await acceptedWithout(schema, receiver);
    if (without === undefined || (await hasEffect(schema, receiver, input, without.decoded))) return;
    refused ??= receiver;
    isBound &&= receiver.input !== undefined || without.assumed === undefined;
  }
  if (refused === undefined) return;
  const message = optionsComeSecond(input, isBound ? 'undefined' : '{}');
  throw new ValidationError(refused.task, 'input', [{ path: 'input', message }]);
}

/** Returns the tasks that receive the input of a run; undefined if internal jobs receive it too. */
function receiversOf(root: JobNode): Receiver[] | undefined {
  const receivers: Receiver[] = [];
  for (const { name: task, queue, open, input, into, items, children, after } of jobsOf(root)) {
    // A group without members accepts any input.
    if (after !== undefined && children?.length === 0) return undefined;
    if (open !== true) continue;
    if (queue === INTERNAL_QUEUE || items !== undefined) return undefined;
    receivers.push({ task, input, ...(into !== undefined && { into }) });
  }
  return receivers;
}

/** Returns the input that a task receives from a call without input; undefined if the task needs one. */
async function acceptedWithout(
  schema: Schema,
  { input }: Receiver,
): Promise<{ assumed: unknown; decoded: unknown } | undefined> {
  for (const assumed of input === undefined ? [undefined, {}] : [input]) {
    const outcome = await schema['~standard'].validate(assumed);
    if (outcome.issues === undefined) return { assumed, decoded: outcome.value };
  }
  return undefined;
}

/** Returns whether the input changes what a task receives. */
async function hasEffect(
  schema: Schema,
  receiver: Receiver,
  input: Record<string, unknown>,
  without: unknown,
): Promise<boolean> {
  const whole = await schema['~standard'].validate(completeInput(receiver.task, receiver, input));
  if (whole.issues !== undefined) return false;
  if (isDeepStrictEqual(whole.value, without)) return false;
  if (!isPlainObject(whole.value) || !isPlainObject(without)) return true;
  // Defaults such as a new id or the time differ from one validation to the next.
  const again = await acceptedWithout(schema, receiver);
  const other = isPlainObject(again?.decoded) ? again.decoded : without;
  const keys = new Set([...Object.keys(whole.value), ...Object.keys(without)]);
  for (const key of keys) {
    const isSteady = isDeepStrictEqual(without[key], other[key]);
    if (isSteady && !isDeepStrictEqual(whole.value[key], without[key])) return true;
  }
  return false;
}

// Checks of inputs before anything is stored.

/** Maximum size of a combined input of steps, which may be longer than the input of one call. */
const MAX_STORED_BYTES = 32 * 1_048_576;

const NO_INPUT = 'this task takes no input: it was defined without a schema for one (`input`)';

export class InputChecks {
  readonly #registry: Registry;
  readonly #maxBytes: number;
  /** Names of keys whose values are masked in every task. */
  readonly #sensitive: ReadonlySet<string>;

  constructor(registry: Registry, maxBytes: number, sensitive: readonly string[]) {
    this.#registry = registry;
    this.#maxBytes = maxBytes;
    this.#sensitive = new Set(sensitive);
  }

  /** Validates whole inputs. Partial inputs are only checked for values that JSON would change; steps validate the rest. */
  async checkTree(node: JobNode): Promise<void> {
    for (const { task, input, path, isWhole } of inputsIn(node)) {
      if (isWhole) await this.check(task, input, path);
      else this.#checkJson(task, input, path);
    }
  }

  /** Checks a tree synchronously, without asynchronous schemas. */
  checkTreeAtOnce(node: JobNode): void {
    for (const { task, input, path, isWhole } of inputsIn(node)) {
      this.#checkJson(task, input, path);
      const entry = isWhole ? this.#registry.get(task) : undefined;
      if (entry === undefined) continue;
      if (entry.input === undefined) {
        if (input !== undefined) refuseInput(task, NO_INPUT);
      } else validateInputAtOnce(entry.input, input, task, this.sensitiveOf(entry), path);
    }
  }

  /** @throws {ValidationError} if the input of a call was meant as its options and would be dropped. */
  async refuseOptions(
    { task, input: bound, into, immutable }: TaskExpression,
    input: unknown,
  ): Promise<void> {
    if (!looksLikeOptions(input) || immutable) return; // an immutable call rejects any input
    const receiver = { task, input: bound, ...(into !== undefined && { into }) };
    await refuseMistakenOptions(this.#registry, input, [receiver]);
  }

  /** @throws {ValidationError} if the input of a run was meant as its options and would be dropped. */
  async refuseOptionsOfRun(root: JobNode, input: unknown): Promise<void> {
    if (!looksLikeOptions(input)) return;
    await refuseMistakenOptions(this.#registry, input, receiversOf(root) ?? []);
  }

  /**
   * Checks an input. Returns a promise only if the task's schema does.
   * @throws {ValidationError} or rejects with it, if the input does not match the schema, or JSON would change it.
   */
  check(task: string, input: unknown, path = 'input'): Promise<unknown> | undefined {
    const checked = this.#checked(task, input, path);
    return checked instanceof Promise ? checked : undefined;
  }

  /**
   * Checks an input and returns the one to store, which has the defaults of the task's schema: every attempt then receives
   * the same values. Returns a promise only if the task's schema does.
   * @throws {ValidationError} or rejects with it, as `check` does.
   */
  complete(task: string, input: unknown, path = 'input'): unknown {
    const entry = this.#registry.get(task);
    const checked = this.#checked(task, input, path);
    if (entry === undefined) return input;
    return checked instanceof Promise
      ? checked.then((decoded: unknown) => this.completed(entry, input, decoded))
      : this.completed(entry, input, checked);
  }

  /** Returns a valid input with the defaults of the task's schema, or a promise of it. */
  completed({ input: schema }: TaskEntry, input: unknown, decoded: unknown): unknown {
    return schema === undefined ? input : withDefaults(schema, input, decoded, this.#maxBytes);
  }

  /** @throws {ValidationError} if a stored input is longer than any that can be sent, or nested too deeply. */
  checkStored(task: string, input: unknown, path = 'input'): void {
    const fault = sanitize(input, Math.max(this.#maxBytes, MAX_STORED_BYTES));
    if (fault !== undefined) throw new ValidationError(task, 'input', [{ path, message: fault }]);
  }

  /** Returns the names of keys whose values are masked for a task. */
  sensitiveOf({ sensitive }: TaskEntry): ReadonlySet<string> {
    return sensitive === undefined ? this.#sensitive : new Set([...this.#sensitive, ...sensitive]);
  }

  /** Returns the decoded input, or a promise of it. */
  #checked(task: string, input: unknown, path: string): unknown {
    this.#checkJson(task, input, path);
    const entry = this.#registry.get(task);
    if (entry === undefined) return undefined;
    if (entry.input === undefined) {
      return input === undefined ? undefined : refuseInput(task, noInput(NO_INPUT, input));
    }
    return validateInput(entry.input, input, task, this.sensitiveOf(entry), path);
  }

  #checkJson(task: string, input: unknown, path: string): void {
    const issues = jsonIssues(input, path, this.#maxBytes);
    if (issues.length > 0) throw new ValidationError(task, 'input', issues);
  }
}

/** An input of a task in a tree: the whole input, or its bound part. */
interface TreeInput {
  readonly task: string;
  readonly input: unknown;
  readonly path: string;
  readonly isWhole: boolean;
}

/** Yields the inputs of the tasks in a tree, including tasks that are not added yet; earlier steps first. */
function* inputsIn(root: JobNode): Generator<TreeInput> {
  for (const node of jobsOf(root)) {
    if (node.expand !== undefined) for (const next of nodesOf(node.expand)) yield* inputsIn(next);
    if (node.queue !== INTERNAL_QUEUE) yield* inputsOf(node);
  }
}

function* inputsOf(node: JobNode): Generator<TreeInput> {
  const { name: task, input, into, items, offset = 0, after } = node;
  if (items === undefined) {
    const isWhole = node.open === undefined && (after === undefined || after.ignored === true);
    yield { task, input, path: 'input', isWhole };
    return;
  }
  for (const [place, item] of items.entries()) {
    const whole = completeInput(task, { input, ...(into !== undefined && { into }) }, item);
    yield { task, input: whole, path: `input[${offset + place}]`, isWhole: true };
  }
}

/** Returns the whole input of a call. */
export function wholeInput(expression: TaskExpression, input: unknown): unknown {
  const { task, immutable } = expression;
  if (input !== undefined && immutable)
    refuseInput(task, noInput('the call is immutable (.si), so nothing can be passed', input));
  return input === undefined && expression.into === undefined
    ? expression.input
    : completeInput(task, expression, input);
}

/** Returns why a call takes no input, with advice if the input looks like options. */
function noInput(reason: string, input: unknown): string {
  return looksLikeOptions(input) ? `${reason}; ${optionsComeSecond(input)}` : reason;
}

function refuseInput(task: string, message: string): never {
  throw new ValidationError(task, 'input', [{ path: 'input', message }]);
}
