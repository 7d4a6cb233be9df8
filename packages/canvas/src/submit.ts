import { type AsyncResult, type SendOptions, UnboundTaskError } from '@umbel/core';
import { type FlowNode, ReadyResult, type Sender } from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import type { CanvasExpression } from './expression.js';
import { type NormalExpression, normalize } from './normalize.js';
import { planRun } from './plan.js';

/**
 * Plans the expression and sends it as one run; a single call is sent as the job it is.
 *
 * Options given here hold for every task that has none of its own; `countdown` and `eta` move the start of the whole.
 */
export async function submit(
  expression: CanvasExpression,
  sender: Sender | undefined,
  input: unknown,
  options: SendOptions<never>,
): Promise<AsyncResult<unknown>> {
  if (sender === undefined) {
    const normal = normalize(expression);
    const task = firstTask(normal);
    if (task !== undefined) throw new UnboundTaskError(task);
    return new ReadyResult(emptyValue(normal));
  }
  const { delayMs, headers: _headers, ...shared } = sender.normalizeOptions(options);
  const normal = normalize(expression, shared, delayMs);
  const sending = sendingOnly(options);
  if (normal.kind === 'task') {
    const headers = { ...options.headers, ...normal.options?.headers };
    return sender.send(normal, input, Object.keys(headers).length > 0 ? { ...sending, headers } : sending);
  }
  const root = planRun(normal, (task) => sender.optionsOf(task));
  if (input !== undefined && !takesInput(root)) {
    throw new CanvasError(
      'No step of this workflow takes an input, so nothing can be passed when it is sent.',
    );
  }
  return sender.sendRun(root, input, sending);
}

/** The tree of jobs that runs the expression. @throws {UnboundTaskError} if its tasks belong to no app. */
export function planned(expression: CanvasExpression, sender: Sender | undefined): FlowNode {
  const normal = normalize(expression);
  if (sender === undefined) throw new UnboundTaskError(firstTask(normal) ?? 'none');
  return planRun(normal, (task) => sender.optionsOf(task));
}

/** The options that are about the sending as a whole, and not about its tasks. */
function sendingOnly(options: SendOptions<never>): SendOptions<never> {
  const { queue, priority, retry, timeout, expires, countdown, displayName, eta, ...sending } = options;
  return sending;
}

/** An empty group takes any input, so that a list of members may turn out to be empty. */
function takesInput(node: FlowNode): boolean {
  const isEmptyGroup = node.after !== undefined && node.children?.length === 0;
  return node.open === true || isEmptyGroup || (node.children ?? []).some(takesInput);
}

/** The name of a task in the expression, if there is any. */
function firstTask(expression: NormalExpression): string | undefined {
  if (expression.kind === 'task') return expression.task;
  for (const part of expression.kind === 'group' ? expression.members : expression.steps) {
    const task = firstTask(part);
    if (task !== undefined) return task;
  }
  return undefined;
}

/** What groups give that hold nothing but groups: a list of members may turn out to be empty. */
function emptyValue(expression: NormalExpression): unknown {
  if (expression.kind === 'chain') return expression.steps.map(emptyValue).at(-1);
  if (expression.kind === 'task') throw new RangeError('a task has no value before it has run');
  const values = expression.members.map(emptyValue);
  return expression.keys === undefined
    ? values
    : Object.fromEntries(expression.keys.map((key, index) => [key, values[index]]));
}
