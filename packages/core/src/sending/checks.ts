/** What is checked of inputs before anything is stored. */
import { ValidationError } from '../errors.js';
import { nodesOf } from '../flow/expansion.js';
import { completeInput } from '../flow/input.js';
import { type FlowNode, INTERNAL_QUEUE } from '../flow/node.js';
import { jobsOf } from '../flow/walk.js';
import type { Registry, TaskEntry } from '../tasks/registry.js';
import type { TaskExpression } from '../tasks/signature.js';
import { jsonIssues } from '../wire/json.js';
import { validateInput, validateInputAtOnce } from '../wire/schema.js';
import { sanitize } from '../wire/stored-value.js';
import { looksLikeOptions, optionsComeSecond, refuseMistakenOptions, takersOf } from './mistaken-options.js';

/** What steps have put together may be longer than the input of one call. */
const MAX_STORED_BYTES = 32 * 1_048_576;

const NO_INPUT = 'this task takes no input: it was defined without a schema for one (`input`)';

export class InputChecks {
  readonly #registry: Registry;
  readonly #maxBytes: number;
  /** Names of keys whose values are masked for every task. */
  readonly #sensitive: ReadonlySet<string>;

  constructor(registry: Registry, maxBytes: number, sensitive: readonly string[]) {
    this.#registry = registry;
    this.#maxBytes = maxBytes;
    this.#sensitive = new Set(sensitive);
  }

  /** Whole inputs are validated here, parts of one only for what JSON would change; steps validate the rest. */
  async checkTree(node: FlowNode): Promise<void> {
    for (const { task, input, path, isWhole } of inputsIn(node)) {
      if (isWhole) await this.check(task, input, path);
      else this.#checkJson(task, input, path);
    }
  }

  /** The same at once, but for schemas that are asynchronous. */
  checkTreeAtOnce(node: FlowNode): void {
    for (const { task, input, path, isWhole } of inputsIn(node)) {
      this.#checkJson(task, input, path);
      const entry = isWhole ? this.#registry.get(task) : undefined;
      if (entry === undefined) continue;
      if (entry.input === undefined) {
        if (input !== undefined) refuseInput(task, NO_INPUT);
      } else validateInputAtOnce(entry.input, input, task, this.sensitiveOf(entry), path);
    }
  }

  /** @throws {ValidationError} if the input of a call is what its options are meant to be, and would be dropped. */
  async refuseOptions(
    { task, input: bound, into, immutable }: TaskExpression,
    input: unknown,
  ): Promise<void> {
    if (!looksLikeOptions(input) || immutable) return; // an immutable call refuses any input
    const taker = { task, input: bound, ...(into !== undefined && { into }) };
    await refuseMistakenOptions(this.#registry, input, [taker]);
  }

  /** The same of the input of a run. */
  async refuseOptionsOfRun(root: FlowNode, input: unknown): Promise<void> {
    if (!looksLikeOptions(input)) return;
    await refuseMistakenOptions(this.#registry, input, takersOf(root) ?? []);
  }

  /**
   * Gives a promise only if the task's schema does.
   * @throws {ValidationError} or rejects with it, if the input does not fit the schema, or JSON would change it.
   */
  check(task: string, input: unknown, path = 'input'): Promise<unknown> | undefined {
    this.#checkJson(task, input, path);
    const entry = this.#registry.get(task);
    if (entry === undefined) return undefined;
    if (entry.input === undefined) {
      return input === undefined ? undefined : refuseInput(task, noInput(NO_INPUT, input));
    }
    const checked = validateInput(entry.input, input, task, this.sensitiveOf(entry), path);
    return checked instanceof Promise ? checked : undefined;
  }

  /** @throws {ValidationError} if a stored input is longer than any that was sent, or nested without an end. */
  checkStored(task: string, input: unknown, path = 'input'): void {
    const fault = sanitize(input, Math.max(this.#maxBytes, MAX_STORED_BYTES));
    if (fault !== undefined) throw new ValidationError(task, 'input', [{ path, message: fault }]);
  }

  /** Names of keys whose values are masked for a task. */
  sensitiveOf({ sensitive }: TaskEntry): ReadonlySet<string> {
    return sensitive === undefined ? this.#sensitive : new Set([...this.#sensitive, ...sensitive]);
  }

  #checkJson(task: string, input: unknown, path: string): void {
    const issues = jsonIssues(input, path, this.#maxBytes);
    if (issues.length > 0) throw new ValidationError(task, 'input', issues);
  }
}

/** An input of a task in a tree: the whole, or what is bound of it. */
interface TreeInput {
  readonly task: string;
  readonly input: unknown;
  readonly path: string;
  readonly isWhole: boolean;
}

/** The inputs of the tasks in a tree, also of those that are not added yet; earlier steps first. */
function* inputsIn(root: FlowNode): Generator<TreeInput> {
  for (const node of jobsOf(root)) {
    if (node.expand !== undefined) for (const next of nodesOf(node.expand)) yield* inputsIn(next);
    if (node.queue !== INTERNAL_QUEUE) yield* inputsOf(node);
  }
}

function* inputsOf(node: FlowNode): Generator<TreeInput> {
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

/** The whole input of a call. */
export function wholeInput(expression: TaskExpression, input: unknown): unknown {
  const { task, immutable } = expression;
  if (input !== undefined && immutable)
    refuseInput(task, noInput('the call is immutable (.si), so nothing can be passed', input));
  return input === undefined && expression.into === undefined
    ? expression.input
    : completeInput(task, expression, input);
}

/** Why a call takes no input; what to write, if that is meant to be options. */
function noInput(reason: string, input: unknown): string {
  return looksLikeOptions(input) ? `${reason}; ${optionsComeSecond(input)}` : reason;
}

function refuseInput(task: string, message: string): never {
  throw new ValidationError(task, 'input', [{ path: 'input', message }]);
}
