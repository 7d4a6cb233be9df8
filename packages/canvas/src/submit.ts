import { type AsyncResult, type SendOptions, UnboundTaskError } from '@umbel/core';
import { type FlowNode, normalizeOptions, type Sender } from '@umbel/core/internal';
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
  options: SendOptions,
): Promise<AsyncResult<unknown>> {
  if (sender === undefined) throw new UnboundTaskError(firstTask(expression) ?? 'of an empty group');
  const { delayMs, ...shared } = normalizeOptions(options);
  const normal = normalize(expression);
  if (normal.kind === 'task') return sender.send(normal, input, options);
  const root = planRun(normal, (task) => sender.optionsOf(task, shared));
  if (input !== undefined && !takesInput(root)) {
    throw new CanvasError(
      'No step of this workflow takes an input, so nothing can be passed when it is sent.',
    );
  }
  return sender.sendRun(delayMs === undefined ? root : delayStart(root, delayMs), input);
}

function takesInput(node: FlowNode): boolean {
  return node.open === true || (node.children ?? []).some(takesInput);
}

/** The tree with the jobs that start the run waiting `delayMs` more. */
function delayStart(node: FlowNode, delayMs: number): FlowNode {
  if (node.children === undefined || node.children.length === 0) {
    return { ...node, options: { ...node.options, delayMs: delayMs + (node.options?.delayMs ?? 0) } };
  }
  return { ...node, children: node.children.map((child) => delayStart(child, delayMs)) };
}

function firstTask(expression: CanvasExpression | NormalExpression): string | undefined {
  switch (expression.kind) {
    case 'task':
      return expression.task;
    case 'chain':
      return firstOf(expression.steps);
    case 'group':
      return firstOf(expression.members);
    case 'chord':
      return firstOf([expression.header, expression.body]);
  }
}

function firstOf(expressions: readonly CanvasExpression[]): string | undefined {
  for (const expression of expressions) {
    const task = firstTask(expression);
    if (task !== undefined) return task;
  }
  return undefined;
}
