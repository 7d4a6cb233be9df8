import type { FinishedStatus, Job, JobType } from 'bullmq';
import type { AnyQueue, World } from './world.js';

const LISTED: JobType[] = ['wait', 'active', 'prioritized', 'delayed', 'completed', 'failed'];
const TYPES: JobType[] = [...LISTED, 'waiting-children', 'repeat'];

/** What a step gave back: its value, or its error's message and code. */
export async function outcomeOf(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return { value: await run() };
  } catch (error) {
    const { message, code } = error as Error & { code?: unknown };
    return { message, code };
  }
}

/** All that can be seen of a world. */
export async function observe(world: World): Promise<unknown> {
  const queues = [];
  for (const queue of world.queues) queues.push(await observeQueue(world, queue));
  const seen = new Map(world.jobs.map((job) => [`${job.queueQualifiedName}:${job.id}`, job]));
  const jobs = [];
  for (const job of seen.values()) jobs.push(await observeJob(world, job));
  return { queues, jobs };
}

async function observeQueue(world: World, queue: AnyQueue): Promise<unknown> {
  const backend = queue.getBackend();
  const ids = (lists: readonly string[][]) => lists.map((list) => [...list]);
  return {
    counts: await backend.getCounts(TYPES),
    delayedSoon: await queue.getDelayedCount(Date.now() + 5_400_000),
    ascending: ids(await backend.getRanges(LISTED, 0, -1, true)),
    descending: ids(await backend.getRanges(LISTED, 0, 1, false)),
    middle: ids(await backend.getRanges(LISTED, 1, 2, true)),
    waitingChildren: ids(await backend.getRanges(['waiting-children'], 0, -1, true)),
    listed: (await queue.getJobs(['waiting', 'prioritized', 'delayed', 'failed'], 0, 3, true)).map(
      (job) => job.id,
    ),
    perPriority: await queue.getCountsPerPriority([0, 1, 2, 3]),
    paused: await queue.isPaused(),
    maxed: await queue.isMaxed(),
    meta: await queue.getMeta(),
    limit: sign(await queue.getRateLimitTtl()),
    limitOfOne: sign(await queue.getRateLimitTtl(1)),
    deduplication: [await queue.getDeduplicationJobId('x'), await queue.getDeduplicationJobId('y')],
    schedulers: await queue.getJobSchedulers(0, -1, true),
    finished: [await countFinished(queue, 'completed'), await countFinished(queue, 'failed')],
    events: await newEvents(world, queue),
  };
}

// Not the points of each minute: the two sides act one after the other, so a minute may end in between.
async function countFinished(queue: AnyQueue, type: FinishedStatus): Promise<number> {
  return (await queue.getMetrics(type)).meta.count;
}

function sign(ttl: number): number {
  return ttl > 0 ? 1 : ttl;
}

// An event of our own ends the stream, so that reading it never blocks.
async function newEvents(world: World, queue: AnyQueue): Promise<unknown> {
  const backend = queue.getBackend();
  const from = world.lastEvents.get(queue.name) ?? '0-0';
  await backend.publishEvent({ event: 'end' }, 10_000);
  const entries = (await backend.readEvents(from, 1000))?.[0]?.[1] ?? [];
  world.lastEvents.set(queue.name, entries.at(-1)?.[0] ?? from);
  return eventsOfEachJob(entries.slice(0, -1).map(([, fields]) => fields));
}

// A parent's children are a set in Redis, so in which order their events come is open.
function eventsOfEachJob(events: readonly string[][]): unknown {
  const jobOf = (fields: readonly string[]) => fields[fields.indexOf('jobId') + 1] ?? '';
  return [...events].sort((a, b) => (jobOf(a) < jobOf(b) ? -1 : jobOf(a) > jobOf(b) ? 1 : 0));
}

async function observeJob(world: World, job: Job): Promise<unknown> {
  const id = String(job.id);
  const backend = world.queues.find((queue) => queue.name === job.queueName)?.getBackend();
  if (!backend) return undefined;
  const { processed, unprocessed, failed, ignored } = await backend.getDependencies(id, {});
  const page = { start: 0, end: 0, fetchJobs: true };
  return {
    queue: job.queueName,
    id,
    state: await backend.getState(id),
    finished: [await backend.isFinished(id), await backend.isFinished(id, true)],
    data: await backend.getJobData(id),
    dependencies: { processed, unprocessed: unprocessed?.sort(), failed: failed?.sort(), ignored },
    counts: await backend.getDependencyCounts(id, ['processed', 'unprocessed', 'ignored', 'failed']),
    page: (await backend.paginate(backend.toKey(`${id}:processed`), page)).jobs,
    logs: await backend.getJobLogs(id, 0, 1, false),
  };
}

/** The same without what differs from run to run: times, and what is computed from them. */
export function normalise(value: unknown, key = ''): unknown {
  if (typeof value === 'number') return normaliseNumber(value, key);
  if (typeof value === 'string') return value.replace(/\d{13}/g, '<time>');
  if (Array.isArray(value)) return value.map((item) => normalise(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [normalise(name) as string, normalise(inner, name)]),
  );
}

const HOUR = 3_600_000;
const VARYING = new Set(['offset']);

function normaliseNumber(value: number, key: string): unknown {
  if (value > 1e12) return '<time>';
  // Delays and limits last whole hours, of which some milliseconds may have passed.
  if (value > HOUR / 2) return Math.round(value / HOUR) * HOUR;
  return VARYING.has(key) ? '<offset>' : value;
}
