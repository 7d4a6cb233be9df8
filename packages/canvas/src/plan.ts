/**
 * A normal expression as the tree of jobs that runs it. Pure.
 *
 * A job waits for its children, so a step is the parent of the step before it:
 *
 * ```
 * chain(a, b)                    run ◀─ b ◀─ a
 * group([a, b])                  run ◀─ a, b
 * chain(group([a, b]), c)        run ◀─ c ◀─ a, b
 * chain(x, group([a, b]), c)     run ◀─ c ◀─ fan-out ◀─ x        the fan-out adds a and b below c
 * group([a, group([b, c])])      run ◀─ a, collect ◀─ b, c
 * group.any([a, b])              run ◀─ collect ◀─ probe ◀─ a, probe ◀─ b
 * fallback(a, b)                 run ◀─ fallback ◀─ a             b is added below the fallback if a fails
 * ```
 *
 * Ids are paths, see `core/src/flow/path.ts`.
 */
import { type FlowNode, type MembersFeed, mergeOptions, type Planning } from '@umbel/core/internal';
import type { LabelOptions, NormalExpression } from './normalize.js';
import { Planner } from './plan/planner.js';

/** What a run is sent as. */
export interface PlannedRun {
  readonly root: FlowNode;
  /** Members of large groups, which are added one slice after the other. */
  readonly feeds: readonly MembersFeed[];
}

/** The root of a run's tree, with the whole expression below it. `labels`: those of the composition, which it bears too. */
export function planRun(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
): PlannedRun {
  const feeds: MembersFeed[] = [];
  const root = labelled(new Planner(planning, feeds).run(expression), labels);
  return { root, feeds };
}

/**
 * The one job at `path` that gives the value of the expression.
 * @throws {CanvasError} if members are to be read while they are sent: nobody would.
 */
export function planNode(expression: NormalExpression, path: string, planning: Planning): FlowNode {
  return new Planner(planning).node(expression, path);
}

/** What is sent by itself: a single call as the job it is, everything else as a run. @throws as `planNode`. */
export function planCallback(
  expression: NormalExpression,
  planning: Planning,
  labels: LabelOptions = {},
): FlowNode {
  const root = new Planner(planning).callback(expression);
  return expression.kind === 'task' ? root : labelled(root, labels); // a task has them among its options
}

function labelled(root: FlowNode, labels: LabelOptions): FlowNode {
  return Object.keys(labels).length === 0 ? root : { ...root, options: mergeOptions(root.options, labels) };
}
