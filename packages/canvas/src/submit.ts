import { type AsyncResult, type SendOptions, UnboundTaskError } from '@umbel/core';
import {
  type Expression,
  type JobNode,
  looksLikeOptions,
  NO_OPTIONS,
  optionsComeSecond,
  type Planning,
  ReadyResult,
  type Sender,
  type Surroundings,
} from '@umbel/core/internal';
import type { CanvasExpression } from './expression.js';
import { labelsOf, type NormalMember, normalize } from './normalize.js';
import { CanvasError } from './part.js';
import { type PlannedRun, planCallback, planNode, planRun } from './plan.js';
import { takesInput } from './plan-group.js';

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
  if (options.eta !== undefined) await sender.timeKnown(options);
  const { delayMs, headers: sentHeaders, ...shared } = sender.normalizeOptions(options);
  const normal = normalize(expression, shared, delayMs);
  const sending = sendingOnly(options);
  if (normal.kind === 'task') {
    const headers = { ...options.headers, ...normal.options?.headers };
    const whole = Object.keys(headers).length > 0 ? { ...sending, headers } : sending;
    return sender.send(normal, input, whole, normal.shared ?? NO_OPTIONS);
  }
  const { root, feeds } = planRun(normal, routedBy(sender, sentHeaders), labelsOf(expression.options));
  if (input !== undefined && feeds.length === 0 && !takesInput(root)) {
    const reason = 'No step of this workflow takes an input, so nothing can be passed when it is sent';
    throw new CanvasError(looksLikeOptions(input) ? `${reason}: ${optionsComeSecond(input)}.` : `${reason}.`);
  }
  return sender.sendRun(root, input, sending, feeds);
}

/** The jobs of an expression as a part of others: at a path, or sent by themselves. */
export function planned(
  expression: Expression,
  planning: Planning,
  path?: string,
  { options, headers }: Surroundings = { options: NO_OPTIONS },
): JobNode {
  const composed = expression as CanvasExpression; // signatures hold no others
  const normal = normalize(composed, options);
  const routed = routedBy(planning, headers);
  return path === undefined
    ? planCallback(normal, routed, labelsOf(composed.options))
    : planNode(normal, path, routed);
}

/** Planning whose calls are routed by these headers as well. */
function routedBy(planning: Planning, headers: Surroundings['headers']): Planning {
  if (headers === undefined) return planning;
  return {
    maxMembers: planning.maxMembers,
    optionsOf: (expression) => planning.optionsOf(expression, headers),
  };
}

/** An expression as it would be sent. */
export function drafted(expression: CanvasExpression, planning: Planning): PlannedRun {
  const normal = normalize(expression);
  return normal.kind === 'task'
    ? { root: planCallback(normal, planning), feeds: [] }
    : planRun(normal, planning);
}

/** The options that are about the sending as a whole, and not about its tasks. */
function sendingOnly(options: SendOptions<never>): SendOptions<never> {
  const { queue, priority, retry, timeout, expires, countdown, displayName, eta, ...sending } = options;
  return sending;
}

/** The name of a task in the expression, if there is any that is known before it is sent. */
function firstTask(expression: NormalMember): string | undefined {
  for (const part of partsOf(expression)) {
    const task = part.kind === 'task' ? part.task : firstTask(part);
    if (task !== undefined) return task;
  }
  return expression.kind === 'task' ? expression.task : undefined;
}

function partsOf(expression: NormalMember): readonly NormalMember[] {
  switch (expression.kind) {
    case 'task':
      return [];
    case 'chunk':
      return [expression.task];
    case 'chain':
      return expression.steps;
    case 'group':
      return 'read' in expression.members ? [] : expression.members;
    case 'match':
      return Object.values(expression.cases);
    case 'when':
      return [expression.onTrue];
    case 'fallback':
      return [expression.step, expression.other];
    case 'linked':
      return [expression.step, ...Object.values(expression.callbacks).flat()];
    case 'given':
    case 'each':
    case 'flat':
      return [expression.step];
  }
}

/** What groups give that hold nothing but groups: a list of members may turn out to be empty. */
function emptyValue(expression: NormalMember): unknown {
  if (expression.kind === 'chain') return expression.steps.map(emptyValue).at(-1);
  if (expression.kind === 'flat') return [emptyValue(expression.step)].flat(2);
  if (expression.kind === 'fallback' || expression.kind === 'given') return emptyValue(expression.step);
  if (expression.kind !== 'group')
    throw new RangeError(`Bug in Umbel: a ${expression.kind} has no value before it runs.`);
  const { members, keys, policy } = expression;
  const all = 'read' in members ? [] : members.map(emptyValue);
  if (policy?.kind === 'any') return all[0];
  const values = policy?.kind === 'settled' ? all.map((value) => ({ ok: true, value })) : all;
  return keys === undefined ? values : Object.fromEntries(keys.map((key, index) => [key, values[index]]));
}
