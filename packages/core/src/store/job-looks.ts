/** This module reads the state of many jobs of a queue at once, on every store. The watcher uses it. */
import type { IQueueBackend } from 'bullmq';
import { JOB_STATUS, MARK } from './engine/commands.js';
import { UNTRIMMED } from './events.js';
import { type Looks, lookPrimitiveOf, type SeenJob } from './primitives/looks.js';
import { FIRST } from './stream-position.js';

/** Result of a look. */
export interface Sight extends Looks {
  /** Id of the last event before the look; an earlier one if the store does not report its events. */
  readonly lastEvent: string;
}

/** Number of jobs that one command reads: 1,000 would block Redis for a few milliseconds. */
export const LOOKED_AT = 500;

/**
 * Reads the state of jobs. If the store has no command for that, reads the jobs one by one.
 * @param followed Number of ids, from the first, whose progress is read too.
 * @param at Position up to which the events were read. Without it, and if the store does not report its events, a mark is
 * written as the start position.
 */
export async function lookAtJobs(
  backend: IQueueBackend,
  ids: readonly string[],
  followed: number,
  at: string | undefined,
): Promise<Sight> {
  const primitive = lookPrimitiveOf(backend);
  const look = async (): Promise<Looks> => {
    if (primitive !== undefined) return primitive.lookAtJobs(ids, followed);
    const jobs = await Promise.all(ids.map((id, index) => lookAt(backend, id, index, index < followed)));
    return { events: undefined, jobs };
  };
  if (primitive !== undefined || at !== undefined) {
    const looks = await look();
    if (looks.events !== undefined) return { ...looks, lastEvent: looks.events.last ?? FIRST };
    if (at !== undefined) return { ...looks, lastEvent: at };
  }
  const mark = String(await backend.publishEvent(MARK, UNTRIMMED));
  return { ...(await look()), lastEvent: mark };
}

async function lookAt(
  backend: IQueueBackend,
  id: string,
  index: number,
  isFollowed: boolean,
): Promise<SeenJob> {
  const answer = await backend.isFinished(id, true);
  const [status, text] = Array.isArray(answer) ? answer : [answer, undefined];
  const progress = isFollowed ? (await backend.getJobData(id))?.progress : undefined;
  return {
    index,
    status: JOB_STATUS[String(status) as keyof typeof JOB_STATUS] ?? 'unreadable',
    text: status > 0 ? (text ?? undefined) : undefined,
    progress: progress === undefined ? undefined : JSON.stringify(progress),
  };
}
