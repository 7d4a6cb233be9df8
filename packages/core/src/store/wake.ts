/** This module ends waits that have begun: of sleeps, and between two turns of a loop. `result.wake()` uses it. */
import { setTimeout } from '../base/real-timers.js';
import { isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import { mergeData } from './job-options.js';
import { childrenOf, ifBroken, type JobAccess } from './tree.js';

/** Result of waking a job: whether it waited, had passed its wait, or had not begun it. `none`: it is no wait. */
export type Waking = 'woken' | 'over' | 'not-begun' | 'none' | 'unknown';

const WAITS: ReadonlySet<string> = new Set([INTERNAL_JOB.sleep, INTERNAL_JOB.loop]);

/** Number of jobs that are read concurrently. */
const TOGETHER = 50;
/** Time between two looks at a job that a worker is about to return to its queue. */
const LOOK_MS = 20;
/** Maximum number of those looks. */
const MAX_LOOKS = 250;

/** Ends the wait of a job. Repeating it has no effect. */
export async function wakeJob(access: JobAccess, { queue, id }: JobRef, now: number): Promise<Waking> {
  return access.on(queue, async (bull) => {
    const job = await bull.getJob(id).catch(ifBroken);
    if (job === undefined || !isEnvelope(job.data)) return 'unknown';
    if (queue !== INTERNAL_QUEUE || !WAITS.has(job.name)) return 'none';
    if (job.finishedOn !== undefined) return 'over';
    let isWaiting = false;
    await mergeData(
      bull.getBackend(),
      id,
      (data) => {
        const { pause, turns } = data;
        // A loop keeps the wait after an earlier turn.
        isWaiting = pause !== undefined && pause.turns === turns?.begun;
        if (pause === undefined || !isWaiting || pause.woken !== undefined) return undefined;
        return { ...data, pause: { ...pause, woken: now } };
      },
      { known: job.data },
    );
    if (!isWaiting) return 'not-begun';
    // A worker that stored the wait just before may not have returned the job to its queue yet.
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      const state = await bull.getJobState(id);
      if (state === 'delayed')
        await job.promote().catch(() => {}); // a worker may have started it first
      else if (state !== 'active') return 'woken';
      if (state === 'active') await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return 'woken';
  });
}

/** Yields the jobs below a job that wait now. */
export async function* waitsBelow(access: JobAccess, root: JobRef): AsyncGenerator<JobRef> {
  const remaining: JobRef[] = [root];
  while (remaining.length > 0) {
    const visits = await Promise.all(remaining.splice(-TOGETHER).map((place) => visit(access, place)));
    for (const { waiting, below } of visits) {
      remaining.push(...below);
      if (waiting !== undefined) yield waiting;
    }
  }
}

async function visit(
  access: JobAccess,
  place: JobRef,
): Promise<{ readonly waiting: JobRef | undefined; readonly below: readonly JobRef[] }> {
  const below: JobRef[] = [];
  for await (const { queue, id } of childrenOf(access, place, ['unprocessed'])) below.push({ queue, id });
  const isWaiting =
    place.queue === INTERNAL_QUEUE &&
    (await access.on(place.queue, (bull) => bull.getJobState(place.id))) === 'delayed';
  return { waiting: isWaiting ? place : undefined, below };
}
