/** Job schedulers of the memory store: storing, advancing and removing them, as BullMQ's Lua scripts do it. */

import { ErrorCode, getNextMillis, type JobsOptions, type RepeatableOptions } from 'bullmq';
import { enqueue, storeJob } from './add.js';
import { wakeWorkers } from './enqueue.js';
import { forget, removeJob } from './family.js';
import { encodeOptions, storeOptions, withOptions } from './job-record.js';
import type { QueueData, SchedulerRecord } from './queue.js';

/** Number of occupied times that a repeating job may skip before it is refused. */
const MAX_SLOTS = 32;

interface Moment {
  readonly at: number;
  readonly offset: number;
}

/** A job scheduler as the producer passes it. */
export interface SchedulerDefinition {
  readonly id: string;
  /** Next time of a pattern, by `Date.now()`. */
  readonly next: number | undefined;
  /** JSON text. */
  readonly data: string;
  readonly templateOpts: JobsOptions;
  readonly repeat: RepeatableOptions;
  readonly jobOpts: SchedulerJobOptions;
}

/** Options of the jobs of a scheduler; BullMQ stores the repeat options in them. */
export type SchedulerJobOptions = JobsOptions & { repeat?: { every?: number; offset?: number } };

export function schedulerJobId(schedulerId: string, at: number): string {
  return `repeat:${schedulerId}:${at}`;
}

/** Whether a job is the next job of its scheduler, which only the scheduler may remove. */
export function isNextOfScheduler(queue: QueueData, jobId: string): boolean {
  const key = queue.jobs.get(jobId)?.repeatJobKey;
  const scheduler = key === undefined ? undefined : queue.schedulers.get(key);
  return scheduler !== undefined && jobId === schedulerJobId(scheduler.id, scheduler.score);
}

/** Stores a scheduler. Returns the id and delay of its next job, or the code of the refusal. */
export function upsertScheduler(
  queue: QueueData,
  definition: SchedulerDefinition,
): [string, number] | number {
  const { now } = queue;
  const { id, repeat } = definition;
  const { every } = repeat;
  queue.meta.maxEvents();
  const existing = queue.schedulers.get(id);
  const changedEvery =
    existing !== undefined && every !== undefined && Number(existing.fields.every) !== every;
  const offset = repeat.offset ?? definition.jobOpts.repeat?.offset ?? 0;
  let at = patternMoment(queue, definition.next, repeat);
  let newOffset = offset;
  if (every !== undefined) {
    const previous = changedEvery ? undefined : existing?.score;
    ({ at, offset: newOffset } = nextOfInterval(previous, every, now, offset, repeat.startDate));
  }
  const replaced = existing !== undefined && removeNextJob(queue, existing);
  if (replaced && every !== undefined && !changedEvery) at = existing.score;
  const stored = replaced ? repeat : { ...repeat, offset: newOffset };
  const free = every === undefined ? at : freeSlot(queue, id, at, every);
  if (free === undefined) return ErrorCode.SchedulerJobSlotsBusy;
  if (every === undefined && queue.jobs.has(schedulerJobId(id, at)) && !replaced) {
    return ErrorCode.SchedulerJobIdCollision;
  }
  storeScheduler(queue, { ...definition, repeat: stored }, free);
  const delay = Math.max(free - now, 0);
  return [addScheduled(queue, id, free, repeat.name, definition.data, definition.jobOpts, delay), delay];
}

function patternMoment(queue: QueueData, next: number | undefined, repeat: RepeatableOptions): number {
  const { time } = queue.directory;
  if (time.real || next === undefined || !repeat.pattern) return next ?? 0;
  // BullMQ evaluated the pattern at Date.now(); with a virtual clock it must be evaluated again.
  const { pattern, tz } = repeat;
  return getNextMillis(time.now(), { pattern, ...(tz === undefined ? {} : { tz }) }) ?? next;
}

function freeSlot(queue: QueueData, id: string, from: number, every: number): number | undefined {
  let at = from;
  for (let slot = 0; slot <= MAX_SLOTS; slot += 1, at += every) {
    if (!queue.jobs.has(schedulerJobId(id, at))) return at;
  }
  return undefined;
}

/** Returns the time after `previous`, or the first time, of a job that repeats every `every` milliseconds. */
function nextOfInterval(
  previous: number | undefined,
  every: number,
  now: number,
  offset: number,
  startDate: number | undefined,
): Moment {
  const aligned = Math.floor(now / every) * every + offset;
  let at: number;
  if (previous !== undefined) {
    at = previous + every;
    if (at < now) at = aligned <= now ? aligned + every : aligned;
  } else if (startDate !== undefined) {
    at = Math.max(startDate, now);
  } else if (offset > 0) {
    at = aligned <= now ? aligned + every : aligned;
  } else {
    at = now;
  }
  return { at: Math.floor(at), offset: Math.floor(offset || at - Math.floor(at / every) * every) };
}

function removeNextJob(queue: QueueData, scheduler: SchedulerRecord): boolean {
  const job = queue.jobs.get(schedulerJobId(scheduler.id, scheduler.score));
  const place = job?.placement;
  if (!job || (place !== 'delayed' && place !== 'prioritized' && place !== 'wait')) return false;
  // Jobs of a paused queue wait in the same list, but BullMQ looks for them in the list of older versions.
  if (place === 'wait' && queue.meta.paused) return false;
  removeJob(queue, job, true);
  return true;
}

function storeScheduler(queue: QueueData, definition: SchedulerDefinition, at: number): void {
  const { id, repeat, data } = definition;
  const previous = queue.schedulers.get(id);
  const fields: Record<string, string> = { name: repeat.name };
  for (const name of ['tz', 'limit', 'pattern', 'startDate', 'endDate', 'every'] as const) {
    const value = repeat[name];
    if (value !== undefined && value !== null) fields[name] = String(value);
  }
  const offset = repeat.offset ?? previous?.fields.offset;
  if (offset !== undefined && offset !== null) fields.offset = String(offset);
  const opts = encodeOptions(definition.templateOpts);
  if (opts !== '{}') fields.opts = opts;
  if (data && data !== '{}') fields.data = data;
  fields.ic = previous?.fields.ic ?? '1';
  setSchedule(queue, id, fields, at);
}

function setSchedule(queue: QueueData, id: string, fields: Record<string, string>, at: number): void {
  const previous = queue.schedulers.get(id);
  if (previous) queue.schedule.remove(previous);
  const scheduler = previous ?? { id, score: at, fields };
  scheduler.fields = fields;
  queue.schedulers.set(id, scheduler);
  queue.schedule.add(scheduler, at);
}

function addScheduled(
  queue: QueueData,
  schedulerId: string,
  at: number,
  name: string,
  data: string,
  jobOpts: JobsOptions,
  delay: number,
): string {
  const { now } = queue;
  const jobId = schedulerJobId(schedulerId, at);
  queue.lastId += 1;
  const job = storeJob(queue, {
    id: jobId,
    name,
    data,
    opts: withOptions(storeOptions(jobOpts), { delay, jobId }),
    timestamp: now,
    parentKey: undefined,
    parent: undefined,
    repeatJobKey: schedulerId,
  });
  enqueue(queue, job);
  wakeWorkers(queue);
  return jobId;
}

/** Adds the job after `producerId`. Returns its id; null if the scheduler is missing or the job exists already. */
export function advanceScheduler(
  queue: QueueData,
  id: string,
  next: number | undefined,
  jobOpts: SchedulerJobOptions,
  producerId: string | undefined,
): string | null {
  const scheduler = queue.schedulers.get(id);
  if (!scheduler) return null;
  const { now } = queue;
  const { fields } = scheduler;
  const every = Number(fields.every ?? jobOpts.repeat?.every ?? Number.NaN);
  let at: number;
  if (Number.isNaN(every)) {
    const { pattern, tz } = fields;
    at = patternMoment(queue, next, {
      name: fields.name ?? '',
      ...(pattern === undefined ? {} : { pattern }),
      ...(tz === undefined ? {} : { tz }),
    });
  } else {
    const offset = Number(fields.offset ?? jobOpts.repeat?.offset ?? 0);
    ({ at } = nextOfInterval(scheduler.score, every, now, offset, undefined));
  }
  if (producerId !== schedulerJobId(id, scheduler.score)) return null;
  const maxEvents = queue.meta.maxEvents();
  if (queue.jobs.has(schedulerJobId(id, at))) {
    queue.emit('event', 'duplicated', 'jobId', schedulerJobId(id, at));
    queue.events.trim(maxEvents);
    return null;
  }
  setSchedule(queue, id, { ...fields, ic: String(Number(fields.ic ?? 0) + 1) }, at);
  const delay = Math.max(at - now, 0);
  return addScheduled(queue, id, at, fields.name ?? '', fields.data ?? '{}', jobOpts, delay);
}

/** Removes a scheduler and its next delayed job. Returns 0, or 1 if there was none. */
export function removeScheduler(queue: QueueData, id: string): number {
  const scheduler = queue.schedulers.get(id);
  if (!scheduler) return 1;
  const job = queue.jobs.get(schedulerJobId(id, scheduler.score));
  if (job?.placement === 'delayed') {
    forget(queue, job);
    queue.emit('event', 'removed', 'jobId', job.id, 'prev', 'delayed');
  }
  queue.schedule.remove(scheduler);
  queue.schedulers.delete(id);
  return 0;
}

/** Returns a scheduler's fields (alternating names and values) and its next time; nulls if there is none. */
export function readScheduler(queue: QueueData, id: string): [string[] | null, string | null] {
  const scheduler = queue.schedulers.get(id);
  if (!scheduler) return [null, null];
  return [Object.entries(scheduler.fields).flat(), String(scheduler.score)];
}

/** Returns a range of scheduler ids, each followed by its next time. */
export function schedulersRange(queue: QueueData, start: number, end: number, asc: boolean): string[] {
  const found = asc ? queue.schedule.range(start, end) : queue.schedule.reverseRange(start, end);
  return found.flatMap(({ id, score }) => [id, String(score)]);
}
