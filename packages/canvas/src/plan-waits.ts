/** This module plans sleeps and loops. Their jobs are delayed in the store while they wait. */
import {
  INTERNAL_JOB,
  INTERNAL_OPTIONS,
  INTERNAL_QUEUE,
  type JobNode,
  testAt,
  turnAt,
} from '@umbel/core/internal';
import type { NormalLoop, NormalSleep } from './normalize.js';
import {
  internalPosition,
  one,
  type PartPlanner,
  type PlannedInput,
  type PlanPosition,
} from './plan-group.js';

/** Plans the job of a sleep, which passes its input on. */
export function planSleep({ sleep, delayMs }: NormalSleep, position: PlanPosition): PlannedInput {
  return one({ ...waitingJob(INTERNAL_JOB.sleep, delayMs, position), sleep });
}

/** Plans the job of a loop. Its turns are planned once, at a path with `*` for the number of the turn. */
export function planLoop(planner: PartPlanner, loop: NormalLoop, position: PlanPosition): PlannedInput {
  const { body, until, max, everyMs, budget, delayMs } = loop;
  const turn = turnAt(position.path, '*');
  return one({
    ...waitingJob(INTERNAL_JOB.loop, delayMs, position),
    expand: {
      parent: internalPosition(position.path),
      body: planner.later(body, turn),
      until: 'step' in until ? { step: planner.later(until.step, testAt(turn)) } : until,
      max,
      ...(everyMs !== undefined && { everyMs }),
      ...(budget !== undefined && { budget }),
    },
  });
}

function waitingJob(name: string, delayMs: number | undefined, { path, incoming }: PlanPosition): JobNode {
  const input = incoming?.(internalPosition(path));
  return {
    path,
    name,
    queue: INTERNAL_QUEUE,
    options: delayMs === undefined ? INTERNAL_OPTIONS : { ...INTERNAL_OPTIONS, delayMs },
    ...(input ?? { open: true }),
  };
}
