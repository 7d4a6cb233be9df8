/** What a schedule sends at each slot, as plain data. */
import { isUmbelError, ScheduleError } from '../base/errors.js';
import { INTERNAL_QUEUE, type JobNode, jobsOf, nodesOf } from '../job/job-tree.js';
import { isSigned, PLAN, type Plannable, SENDER } from '../task/signature.js';
import { fill } from '../workflow/input.js';

/** Stored with the schedule, and read with it at each slot. */
const MAX_BYTES = 1_048_576;
/** Of a long composition, so many tasks are named. */
const NAMED_TASKS = 10;

/**
 * The jobs of a target, which is not kept itself: what is done to its input later changes nothing.
 * @throws {ScheduleError} if it is none, of another app, read lazily, or too large.
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

/** A copy of the jobs as JSON carries them. @throws {ScheduleError} if they are too large to be stored with a schedule. */
export function storableTarget(name: string, node: JobNode): JobNode {
  const text = JSON.stringify(node);
  if (text.length > MAX_BYTES) {
    throw new ScheduleError(
      name,
      `cannot be declared: its target takes ${text.length} bytes as JSON, the limit is ${MAX_BYTES}. ` +
        'Schedule one task that finds the work and sends it, or replaces itself with ctx.replace.',
    );
  }
  return JSON.parse(text) as JobNode; // what it was made of
}

/** The names of the tasks of a target, in order. */
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
