/** What is checked of inputs before anything is stored. */
import { ValidationError } from '../errors.js';
import { completeInput } from '../flow/input.js';
import { type FlowNode, INTERNAL_QUEUE } from '../flow/node.js';
import type { Registry } from '../tasks/registry.js';
import type { TaskExpression } from '../tasks/signature.js';
import { jsonIssues } from '../wire/json.js';
import { validate } from '../wire/schema.js';

export class InputChecks {
  readonly #registry: Registry;
  readonly #maxBytes: number;

  constructor(registry: Registry, maxBytes: number) {
    this.#registry = registry;
    this.#maxBytes = maxBytes;
  }

  /** Whole inputs are validated here, parts of one only for what JSON would change; steps validate the rest. */
  async checkTree(node: FlowNode): Promise<void> {
    for (const next of [...(node.children ?? []), ...(node.expand?.members ?? [])])
      await this.checkTree(next);
    if (node.queue === INTERNAL_QUEUE) return;
    const { after } = node;
    const isWhole = node.open === undefined && (after === undefined || 'ignored' in after);
    if (isWhole) await this.check(node.name, node.input);
    else this.#checkJson(node.name, node.input, 'input');
  }

  /** @throws {ValidationError} if the input does not fit the task's schema, or JSON would change it. */
  async check(task: string, input: unknown, path = 'input'): Promise<void> {
    this.#checkJson(task, input, path);
    const entry = this.#registry.get(task);
    if (entry === undefined) return;
    if (entry.input !== undefined) await validate(entry.input, input, task, 'input', path);
    else if (input !== undefined) refuseInput(task, 'this task takes no input');
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
