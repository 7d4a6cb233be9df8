/** What is checked of inputs before anything is stored. */
import { ValidationError } from '../errors.js';
import { nodesOf } from '../flow/expansion.js';
import { completeInput } from '../flow/input.js';
import { type FlowNode, INTERNAL_QUEUE } from '../flow/node.js';
import type { Registry, TaskEntry } from '../tasks/registry.js';
import type { TaskExpression } from '../tasks/signature.js';
import { jsonIssues } from '../wire/json.js';
import { validateInput } from '../wire/schema.js';
import { sanitize } from '../wire/stored-value.js';

/** What steps have put together may be longer than the input of one call. */
const MAX_STORED_BYTES = 32 * 1_048_576;

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
    const { children = [], expand } = node;
    for (const next of [...children, ...(expand === undefined ? [] : nodesOf(expand))])
      await this.checkTree(next);
    if (node.queue === INTERNAL_QUEUE) return;
    const { after } = node;
    if (node.items !== undefined) return this.#checkItems(node, node.items);
    const isWhole = node.open === undefined && (after === undefined || after.ignored === true);
    if (isWhole) await this.check(node.name, node.input);
    else this.#checkJson(node.name, node.input, 'input');
  }

  async #checkItems({ name, input, into, offset = 0 }: FlowNode, items: readonly unknown[]): Promise<void> {
    for (const [place, item] of items.entries()) {
      const whole = completeInput(name, { input, ...(into !== undefined && { into }) }, item);
      await this.check(name, whole, `input[${offset + place}]`);
    }
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
      return input === undefined ? undefined : refuseInput(task, 'this task takes no input');
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

/** The whole input of a call. */
export function wholeInput(expression: TaskExpression, input: unknown): unknown {
  const { task, immutable } = expression;
  if (input !== undefined && immutable)
    refuseInput(task, 'the call is immutable (.si), so nothing can be passed');
  return input === undefined && expression.into === undefined
    ? expression.input
    : completeInput(task, expression, input);
}

function refuseInput(task: string, message: string): never {
  throw new ValidationError(task, 'input', [{ path: 'input', message }]);
}
