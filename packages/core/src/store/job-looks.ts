/** Looks at many jobs of a queue at once, on every store. */
import type { IQueueBackend } from 'bullmq';
import { MARK, UNTRIMMED } from './events.js';
import { type Looks, lookPrimitiveOf, type SeenJob } from './primitives/looks.js';

/** What a look has found. */
export interface Sight extends Looks {
  /** The last event before it, at least. The last one, if the store has told of its events. */
  readonly lastEvent: string;
}

/** The id before the first event. */
const FIRST = '0-0';

/** Jobs that one command looks at: with 1,000, it holds a Redis for a few milliseconds. */
export const LOOKED_AT = 500;

const STATUS = { '-1': 'missing', '0': 'pending', '1': 'completed', '2': 'failed' } as const;

/**
 * Looks at jobs. Where the store has no command for it, the jobs are asked for one by one.
 * @param followed Of so many of the first ids, the progress is read too.
 * @param at Where the events were read up to. Without it, a store that does not tell of its events is given a mark that
 * says where they begin.
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
    status: STATUS[String(status) as keyof typeof STATUS] ?? 'unreadable',
    text: status > 0 ? (text ?? undefined) : undefined,
    progress: progress === undefined ? undefined : JSON.stringify(progress),
  };
}
