/** This module turns the target of a schedule into plain data, which is stored with it and sent at each occurrence. */
import { isUmbelError, ScheduleError } from '../base/errors.js';
import { INTERNAL_QUEUE, type JobNode, jobsOf, nodesOf } from '../job/job-tree.js';
import { isSigned, PLAN, type Plannable, SENDER } from '../task/signature.js';
import { fill } from '../workflow/input.js';

/** Maximum size of a target, which is read at each occurrence. */
const MAX_BYTES = 1_048_576;
/** Maximum number of task names in a description. */
const NAMED_TASKS = 10;

/**
 * Returns the jobs of a target. Later changes of its input have no effect.
 * @throws {ScheduleError} if it is not a step, belongs to another app, or has lazy members.
 */
export function plannedTarget(name: string, target: unknown, app: object): JobNode {
  if (!isSigned(target) || !(PLAN in target))
    throw new ScheduleError(name, 'cannot be declared: its target is not a task, signature or workflow.');
  if (target[SENDER] !== undefined && target[SENDER] !== app)
    throw new ScheduleError(name, 'cannot be declared: its target belongs to another app.');
  let node: JobNode;
  try {
    node = fill((target as unknown as Plannable)[PLAN](), undefined);
  } catch (cause) {
    if (!isUmbelError(cause)) throw cause;
    throw new ScheduleError(name, `cannot be declared: its target cannot be stored. ${cause.message}`, {
      cause,
    });
  }
  return node;
}

/** Returns a JSON copy of the jobs. @throws {ScheduleError} if they are too large to be stored with a schedule. */
export function storableTarget(name: string, node: JobNode): JobNode {
  const text = JSON.stringify(node);
  if (text.length > MAX_BYTES) {
    throw new ScheduleError(
      name,
      `cannot be declared: its target takes ${text.length} bytes as JSON, the limit is ${MAX_BYTES}. ` +
        'Schedule one task that finds the work and sends it, or replaces itself with ctx.replace.',
    );
  }
  return JSON.parse(text) as JobNode;
}

/** Returns the names of the tasks of a target, in order. */
export function describeTarget(node: JobNode): string {
  const names = [...new Set(tasksIn(node))];
  const more = names.length > NAMED_TASKS ? ` and ${names.length - NAMED_TASKS} more` : '';
  const list = names.slice(0, NAMED_TASKS).join(', ') + more;
  return node.queue === INTERNAL_QUEUE ? `workflow of ${list || 'no tasks'}` : list;
}

function* tasksIn(root: JobNode): Generator<string> {
  for (const { queue, name, expand } of jobsOf(root)) {
    if (queue !== INTERNAL_QUEUE) yield name;
    if (expand !== undefined) for (const next of nodesOf(expand)) yield* tasksIn(next);
  }
}
