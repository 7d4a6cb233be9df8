/**
 * This module plans workflows and passes them to the app that sends them. `Composition` and `@umbel/core` call it.
 */
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
import { match } from 'ts-pattern';
import type { CanvasExpression } from './expression.js';
import { labelsOf, type NormalGroup, type NormalMember, normalize } from './normalize.js';
import { CanvasError } from './part.js';
import { type PlannedRun, planCallback, planNode, planRun } from './plan.js';
import { takesInput } from './plan-group.js';

/**
 * Plans the expression and sends it as one run, or as a single job if it is one call.
 *
 * The options apply to every task that does not set them itself. `countdown` and `eta` delay the start of the run.
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
  const sendOptions = withoutTaskOptions(options);
  if (normal.kind === 'task') {
    const headers = { ...options.headers, ...normal.options?.headers };
    const withHeaders = Object.keys(headers).length > 0 ? { ...sendOptions, headers } : sendOptions;
    return sender.send(normal, input, withHeaders, normal.shared ?? NO_OPTIONS);
  }
  const planning = withRoutingHeaders(sender, sentHeaders);
  const { root, streams } = planRun(normal, planning, labelsOf(expression.options), nameOf(expression));
  if (input !== undefined && streams.length === 0 && !takesInput(root)) {
    const reason = 'No step of this workflow takes an input, so nothing can be passed when it is sent';
    throw new CanvasError(looksLikeOptions(input) ? `${reason}: ${optionsComeSecond(input)}.` : `${reason}.`);
  }
  return sender.sendRun(root, input, sendOptions, streams);
}

/** Plans an expression as a part of a run at `path`. Without `path` it is planned as a callback. */
export function planExpression(
  expression: Expression,
  planning: Planning,
  path?: string,
  { options, headers }: Surroundings = { options: NO_OPTIONS },
): JobNode {
  const workflow = expression as CanvasExpression; // signatures hold no other expressions
  const normal = normalize(workflow, options);
  const routed = withRoutingHeaders(planning, headers);
  return path === undefined
    ? planCallback(normal, routed, labelsOf(workflow.options), nameOf(workflow))
    : planNode(normal, path, routed);
}

/** Returns the name that `named` gave to a workflow. */
function nameOf(expression: CanvasExpression): string | undefined {
  return expression.kind === 'task' ? undefined : expression.name;
}

/** Returns the planning with headers that also decide the queue of each call. */
function withRoutingHeaders(planning: Planning, headers: Surroundings['headers']): Planning {
  if (headers === undefined) return planning;
  return {
    maxMembers: planning.maxMembers,
    optionsOf: (expression) => planning.optionsOf(expression, headers),
  };
}

/** Plans an expression in the form in which `submit` sends it. */
export function planUnsent(expression: CanvasExpression, planning: Planning): PlannedRun {
  const normal = normalize(expression);
  return normal.kind === 'task'
    ? { root: planCallback(normal, planning), streams: [] }
    : planRun(normal, planning);
}

/** Returns the options that apply to the run, without those that apply to its tasks. */
function withoutTaskOptions(options: SendOptions<never>): SendOptions<never> {
  const { queue, priority, retry, timeout, expires, countdown, displayName, eta, ...sendOptions } = options;
  return sendOptions;
}

/** Returns the name of the first task that is known before sending: lazy members are not read. */
function firstTask(expression: NormalMember): string | undefined {
  for (const part of partsOf(expression)) {
    const task = part.kind === 'task' ? part.task : firstTask(part);
    if (task !== undefined) return task;
  }
  return expression.kind === 'task' ? expression.task : undefined;
}

function partsOf(expression: NormalMember): readonly NormalMember[] {
  return match(expression)
    .returnType<readonly NormalMember[]>()
    .with({ kind: 'task' }, { kind: 'sleep' }, { kind: 'waitFor' }, () => [])
    .with({ kind: 'chunk' }, ({ task }) => [task])
    .with({ kind: 'chain' }, ({ steps }) => steps)
    .with({ kind: 'group' }, ({ members }) => ('read' in members ? [] : members))
    .with({ kind: 'loop' }, ({ body, until }) => ('step' in until ? [body, until.step] : [body]))
    .with({ kind: 'match' }, ({ cases }) => Object.values(cases))
    .with({ kind: 'when' }, ({ onTrue }) => [onTrue])
    .with({ kind: 'fallback' }, ({ step, other }) => [step, other])
    .with({ kind: 'linked' }, ({ step, callbacks }) => [step, ...Object.values(callbacks).flat()])
    .with({ kind: 'given' }, { kind: 'each' }, { kind: 'flat' }, ({ step }) => [step])
    .exhaustive();
}

/**
 * Returns the result of a workflow without tasks: groups whose computed list of members is empty.
 * @throws {CanvasError} if it has a sleep or a loop.
 */
function emptyValue(expression: NormalMember): unknown {
  return match(expression)
    .with({ kind: 'chain' }, ({ steps }) => steps.map(emptyValue).at(-1))
    .with({ kind: 'flat' }, ({ step }) => [emptyValue(step)].flat(2))
    .with({ kind: 'fallback' }, { kind: 'given' }, ({ step }) => emptyValue(step))
    .with({ kind: 'group' }, emptyGroup)
    .with({ kind: 'sleep' }, { kind: 'loop' }, () => {
      throw new CanvasError('The workflow has no task, so no app can send it. Add a task to it.');
    })
    .otherwise(({ kind }) => {
      throw new RangeError(`Bug in Umbel: a ${kind} has no value before it runs.`);
    });
}

function emptyGroup({ members, keys, policy }: NormalGroup): unknown {
  const all = 'read' in members ? [] : members.map(emptyValue);
  if (policy?.kind === 'any') return all[0];
  const values = policy?.kind === 'settled' ? all.map((value) => ({ ok: true, value })) : all;
  return keys === undefined ? values : Object.fromEntries(keys.map((key, index) => [key, values[index]]));
}
