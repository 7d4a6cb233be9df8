/** Ends a worker once its queues hold nothing to do. */
import type { App, AppWorker } from '@umbel/core';
import { umbelCode } from '../errors/problem.js';

/** Umbel's own jobs between tasks, which may add some to any queue. */
const INTERNAL_QUEUE = 'umbel';
const PAUSE_MS = 200;

/**
 * Closes the worker once nothing runs, waits or is delayed in its queues, retries and later steps of compositions
 * included. Looks twice, with no attempt in between: a job may go from one queue to another while they are counted.
 */
export async function closeWhenEmpty(app: App, worker: AppWorker): Promise<void> {
  try {
    let emptyAt: number | undefined;
    while (worker.state === 'running') {
      const ended = endedOf(worker);
      const isEmpty = worker.active.length === 0 && (await areEmpty(app, worker.queues).catch(ifAway));
      if (isEmpty && emptyAt === ended && endedOf(worker) === ended && worker.active.length === 0) break;
      emptyAt = isEmpty ? ended : undefined;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } finally {
    await worker.close();
  }
}

/** A store that does not answer now may hold jobs. */
function ifAway(error: unknown): false {
  if (umbelCode(error) === 'CONNECTION') return false;
  throw error;
}

function endedOf({ counts }: AppWorker): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

async function areEmpty(app: App, queues: readonly string[]): Promise<boolean> {
  const between = async () => {
    const { waiting, active } = await app.queue(INTERNAL_QUEUE).counts();
    return waiting + active;
  };
  if ((await between()) > 0) return false;
  for (const queue of queues) {
    const counts = await app.queue(queue).counts();
    if (counts.waiting + counts.active + counts.delayed + counts['waiting-children'] > 0) return false;
  }
  return (await between()) === 0;
}
