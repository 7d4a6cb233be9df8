/** Counts the tasks that this process has run. Workers in other processes count for themselves. */
import type { TaskContext } from '@umbel/core';

const counts = new Map<string | undefined, number>();

/** Notes that the task ran in this process; gives its result back. */
export function ranHere<Result>({ runId }: TaskContext, result: Result): Result {
  counts.set(runId, (counts.get(runId) ?? 0) + 1);
  return result;
}

/** Tasks of one run that ran here. */
export function tasksRunHere(runId: string): number {
  return counts.get(runId) ?? 0;
}

/** Tasks of all runs that ran here. */
export function allTasksRunHere(): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
