/**
 * This module ends waits that have begun: of sleeps, and between two turns of a loop. `result.wake()` uses it. It starts the
 * delayed jobs of waits, also for `signals.ts`.
 */
import { setTimeout } from '../base/real-timers.js';
import { isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import { isTransient } from './engine/drivers.js';
import { mergeData } from './job-options.js';
import { childrenOf, ifBroken, type JobAccess } from './tree.js';

/** Result of waking a job: whether it waited, had passed its wait, or had not begun it. `none`: it is no wait. */
export type Waking = 'woken' | 'over' | 'not-begun' | 'none' | 'unknown';

const WAITS: ReadonlySet<string> = new Set([INTERNAL_JOB.sleep, INTERNAL_JOB.loop]);

/** Number of jobs that are read concurrently. */
const TOGETHER = 50;
/** Maximum number of attempts to start a woken job that a worker is about to return to its queue. */
const MAX_STARTS = 250;
/** Time between two of those attempts. */
const START_AGAIN_MS = 20;

const pauseOf = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Ends the wait of a job. Repeating it has no effect. */
export async function wakeJob(access: JobAccess, { queue, id }: JobRef, now: number): Promise<Waking> {
  const waking = await access.on(queue, async (bull): Promise<Waking> => {
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
    return isWaiting ? 'woken' : 'not-begun';
  });
  if (waking === 'woken') await startDelayed(access, { queue, id }, pauseOf, MAX_STARTS);
  return waking;
}

/**
 * Starts the delayed job of a wait. A worker that stored the wait just before may not have returned the job to its queue
 * yet; then this function tries again, `times` times at most.
 */
export async function startDelayed(
  access: JobAccess,
  { queue, id }: JobRef,
  pause: (ms: number) => Promise<void>,
  times: number,
): Promise<void> {
  for (let attempts = 0; attempts < times; attempts += 1) {
    const isStarted = await access.on(queue, async (bull) => {
      try {
        await bull.getBackend().promote(id);
        return true;
      } catch (error) {
        if (isTransient(error)) throw error;
        const state = await bull.getJobState(id);
        return state !== 'active' && state !== 'delayed'; // it may have been delayed since
      }
    });
    if (isStarted) return;
    await pause(START_AGAIN_MS);
  }
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
