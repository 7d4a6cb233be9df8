/** This module translates stored events of BullMQ into events of the app. */

import { isPlainObject } from '../base/text.js';
import type { Sealer } from '../codec/codecs.js';
import { sanitize } from '../codec/masking.js';
import { INTERNAL_QUEUE, isRunJob } from '../job/job-tree.js';
import { OWN_STATE } from '../job/states.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import type { StreamEntry } from '../store/events.js';
import { isWaitJob } from '../store/signals.js';
import { type StoredJob, wasSkipped } from '../store/stored-job.js';
import { timeOfId } from '../store/stream-position.js';
import type { Merged } from './event-merge.js';
import type { AppEvent, EventType, WorkerFacts } from './events.js';

// The kind of change, from the fields of a stored event alone.

/** Kinds of change that become events. */
export type JobChange =
  | 'added'
  | 'again'
  | 'started'
  | 'progress'
  | 'returned'
  | 'delayed'
  | 'stalled'
  | 'completed'
  | 'failed'
  | 'removed';

const CHANGES: ReadonlyMap<string, JobChange> = new Map([
  ['added', 'added'],
  ['active', 'started'],
  ['progress', 'progress'],
  ['delayed', 'delayed'],
  ['stalled', 'stalled'],
  ['completed', 'completed'],
  ['failed', 'failed'],
  ['removed', 'removed'],
]);

/** Returns the change of a job that an event reports; undefined if it reports none, or does not have BullMQ's form. */
export function changeOf({ queue, entry, next }: Merged): { change: JobChange; id: string } | undefined {
  const { fields } = entry;
  const id = fields.get('jobId');
  if (queue === CONTROL_QUEUE || id === undefined || id === '') return undefined;
  const event = fields.get('event') ?? '';
  if (event !== 'waiting') {
    const change = CHANGES.get(event);
    return change && { change, id };
  }
  const before = fields.get('prev');
  if (before === 'failed' || before === 'completed') return { change: 'again', id };
  if (before !== 'active') return undefined;
  // BullMQ puts a job back and reports it in one step when its worker was lost.
  const isStalled = next?.fields.get('event') === 'stalled' && next.fields.get('jobId') === id;
  return isStalled ? undefined : { change: 'returned', id };
}

/** Returns whether an event only reports that a job was added with a delay: it follows the addition, and is no retry. */
export function isFirstDelay(before: StreamEntry | undefined, { fields }: StreamEntry): boolean {
  if (fields.get('event') !== 'delayed' || before?.fields.get('event') !== 'added') return false;
  return before.fields.get('jobId') === fields.get('jobId');
}

const OF_JOB: Readonly<Record<JobChange, readonly EventType[]>> = {
  added: ['enqueued'],
  again: ['enqueued'],
  started: ['started'],
  progress: ['progress'],
  returned: ['retried'],
  delayed: ['retried'],
  stalled: ['stalled'],
  completed: ['completed', 'skipped'],
  failed: ['failed', 'revoked', 'expired', 'skipped'],
  removed: [],
};

const OF_RUN: Readonly<Partial<Record<JobChange, readonly EventType[]>>> = {
  added: ['run-started'],
  again: ['run-started'],
  delayed: ['waiting'],
  completed: ['run-finished', 'signalled'],
  failed: ['run-finished'],
};

/** The types of event that a change may become. */
export function typesOf(queue: string, change: JobChange): readonly EventType[] {
  return queue === INTERNAL_QUEUE ? (OF_RUN[change] ?? []) : OF_JOB[change];
}

/** Types of events, by the streams that contain them. */
export const RUN_TYPES: readonly EventType[] = ['run-started', 'run-finished', 'waiting', 'signalled'];
export const WORKER_TYPES: readonly EventType[] = ['worker-online', 'worker-offline'];
export const JOB_TYPES: readonly EventType[] = [...new Set(Object.values(OF_JOB).flat())];

// A cache of facts about jobs, so that not every event needs a read of the store.

/** Maximum number of unended jobs in the cache. */
const MAX_JOBS = 10_000;

/** Facts about a job from earlier events and from the store. */
export interface KnownJob {
  task: string | undefined;
  runId: string | undefined;
  /** The current or the next attempt. */
  attempt: number | undefined;
  /** Whether a worker runs it; undefined if no event has shown it. */
  isActive: boolean | undefined;
  /** Whether its task and its run are known without a read of the store. */
  isPlaced: boolean;
}

/** The cache: the jobs of the latest events. */
export class KnownJobs {
  readonly #jobs = new Map<string, KnownJob>();

  find(queue: string, id: string): KnownJob | undefined {
    return this.#jobs.get(knownKey(queue, id));
  }

  /** Returns the facts about a job, which the caller may change. */
  of(queue: string, id: string): KnownJob {
    const key = knownKey(queue, id);
    const known = this.#jobs.get(key) ?? {
      task: undefined,
      runId: undefined,
      attempt: undefined,
      isActive: undefined,
      isPlaced: false,
    };
    this.#jobs.delete(key); // it becomes the newest entry
    this.#jobs.set(key, known);
    if (this.#jobs.size > MAX_JOBS)
      for (const oldest of this.#jobs.keys()) return this.#without(oldest, known);
    return known;
  }

  forget(queue: string, id: string): void {
    this.#jobs.delete(knownKey(queue, id));
  }

  #without(oldest: string, known: KnownJob): KnownJob {
    this.#jobs.delete(oldest);
    return known;
  }
}

/** Adds facts from the store. `returns`: how often the job returns to its queue in the events to be translated. */
function learn(known: KnownJob, stored: StoredJob | undefined, returns: number): void {
  known.isPlaced = true;
  if (stored === undefined) return;
  const { alone, run } = stored.envelope ?? {};
  known.task ??= stored.name;
  known.runId = alone ? undefined : run;
  known.isActive ??= stored.startedAt !== undefined;
  known.attempt ??= Math.max(1, failedAttempts(stored) + 1 - returns);
}

/** Returns the number of failed attempts that are followed by another one. */
function failedAttempts({ attempts, finishedAt }: StoredJob): number {
  return finishedAt === undefined ? attempts : attempts - 1;
}

/** Returns whether the id may be that of a step: those consist of the id of the run and a path. */
function mayBeStep(id: string): boolean {
  return id.includes('.');
}

function knownKey(queue: string, id: string): string {
  return `${queue}:${id}`;
}

// Data in stored events, which any program may have written.

/** A reported value, and the custom state of the task if there is one. */
interface Reported {
  readonly value: unknown;
  readonly state?: string;
}

/** Returns the report of a job; undefined if it is not JSON. */
async function reportedOf(
  sealer: Sealer,
  text: string | undefined,
  job: { readonly id: string; readonly task: string },
): Promise<Reported | undefined> {
  const stored = parsed(text);
  if (stored === undefined) return undefined;
  const isOwn = isPlainObject(stored) && typeof stored[OWN_STATE] === 'string';
  const value = isOwn ? stored.progress : stored;
  // It may be encoded by a codec that this app does not have, or be invalid.
  const opened = await sealer.decode(value, { subject: 'progress', ...job }).catch(() => undefined);
  return {
    value: sanitize(opened) === undefined ? opened : undefined,
    ...(isOwn && { state: String(stored[OWN_STATE]) }),
  };
}

/** Returns the worker of an event; undefined if it is invalid. */
function workerOf(text: string | undefined): WorkerFacts | undefined {
  const stored = parsed(text);
  if (!isPlainObject(stored)) return undefined;
  const { id, name, host, pid } = stored;
  const isText = [id, name, host].every((value) => typeof value === 'string');
  if (!isText || !Number.isSafeInteger(pid)) return undefined;
  return { id, name, host, pid } as WorkerFacts; // each was checked
}

/** Parses a JSON text; undefined if it is invalid. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The interests of the subscriptions. The store is not read for events that none of them needs. */
export interface Interests {
  /** Whether a subscription may need the event of a change, before the task of the job is known. */
  mayNeed(queue: string, change: JobChange, id: string): boolean;
  /** Whether a subscription needs such an event of this task. */
  needsTask(queue: string, change: JobChange, id: string, task: string): boolean;
}

export interface EventTranslatorDependencies {
  readonly job: (queue: string, id: string) => Promise<StoredJob | undefined>;
  readonly sealer: Sealer;
  readonly interests: Interests;
}

/** An event without its position. */
export type Untranslated = AppEvent extends infer Event
  ? Event extends AppEvent
    ? Omit<Event, 'position'>
    : never
  : never;

/** Maximum number of concurrent reads of jobs. */
const LOOKS = 100;

export class EventTranslator {
  readonly #dependencies: EventTranslatorDependencies;
  readonly #known = new KnownJobs();

  constructor(dependencies: EventTranslatorDependencies) {
    this.#dependencies = dependencies;
  }

  /** Returns the event of each stored event; undefined for one that becomes no event, or that no subscription needs. */
  async translate(merged: readonly Merged[]): Promise<(Untranslated | undefined)[]> {
    const changes = merged.map(changeOf);
    const stored = await this.#look(merged, changes);
    const returns = countReturns(merged, changes);
    const returned: (Untranslated | undefined)[] = [];
    for (const [index, each] of merged.entries()) {
      const change = changes[index];
      if (each.entry.isGap) returned.push(this.#gap(each));
      else if (change === undefined) returned.push(this.#workerEvent(each));
      else returned.push(await this.#jobEvent(each, change, stored, returns));
    }
    return returned;
  }

  /** Reads each job once whose facts are missing. */
  async #look(
    merged: readonly Merged[],
    changes: readonly (Changed | undefined)[],
  ): Promise<ReadonlyMap<string, StoredJob | undefined>> {
    const places = new Map<string, { queue: string; id: string }>();
    const seen = new Map<string, Seen>();
    for (const [index, { queue, entry }] of merged.entries()) {
      const change = changes[index];
      if (change === undefined) continue;
      const key = keyOf(queue, change.id);
      if (change.change === 'added')
        seen.set(key, { task: entry.fields.get('name') ?? '', hasStarted: false });
      if (change.change === 'started') seen.set(key, { ...seen.get(key), hasStarted: true });
      if (this.#needsLook(queue, change, seen.get(key))) places.set(key, { queue, id: change.id });
      else if (change.change === 'returned' || change.change === 'delayed')
        seen.set(key, { hasStarted: false, ...seen.get(key), isUncounted: true });
    }
    const found = new Map<string, StoredJob | undefined>();
    const entries = [...places];
    for (let at = 0; at < entries.length; at += LOOKS) {
      const slice = entries.slice(at, at + LOOKS);
      const jobs = await Promise.all(slice.map(([, { queue, id }]) => this.#dependencies.job(queue, id)));
      for (const [index, [key]] of slice.entries()) found.set(key, jobs[index]);
    }
    return found;
  }

  #needsLook(queue: string, { change, id }: Changed, seen: Seen | undefined): boolean {
    if (!this.#dependencies.interests.mayNeed(queue, change, id)) return false;
    const known = this.#known.find(queue, id);
    const task = known?.task ?? seen?.task;
    if (queue === INTERNAL_QUEUE) {
      const isWait = isWaitJob(queue, task);
      if (task !== undefined && !isWait && !isRunJob(queue, task)) return false;
      return (
        task === undefined || change === 'completed' || (isWait ? change === 'delayed' : change === 'failed')
      );
    }
    if (task !== undefined && !this.#dependencies.interests.needsTask(queue, change, id, task)) return false;
    if (change === 'failed' || change === 'returned') return true;
    if (change === 'delayed')
      return seen?.hasStarted === true || (seen === undefined && known?.isActive !== false);
    if (task === undefined || seen?.isUncounted === true) return true;
    if (known?.attempt === undefined && seen?.task === undefined) return true;
    return mayBeStep(id) && (change === 'completed' || known?.isPlaced !== true);
  }

  async #jobEvent(
    { queue, entry }: Merged,
    changed: Changed,
    stored: ReadonlyMap<string, StoredJob | undefined>,
    returns: Map<string, number>,
  ): Promise<Untranslated | undefined> {
    const { change, id } = changed;
    const key = keyOf(queue, id);
    const known = this.#known.of(queue, id);
    if (change === 'added') known.task = entry.fields.get('name') ?? '';
    if (change === 'added' || change === 'again') known.attempt = 1;
    const job = stored.get(key);
    if (stored.has(key)) learn(known, job, returns.get(key) ?? 0);
    const { attempt } = known;
    const wasActive = known.isActive;
    if (change !== 'progress') known.isActive = change === 'started';
    const isReturn = change === 'returned' || (change === 'delayed' && wasActive === true);
    if (change === 'returned' || change === 'delayed') returns.set(key, (returns.get(key) ?? 1) - 1);
    const isCharged =
      isReturn && (attempt === undefined || job === undefined || attempt <= failedAttempts(job));
    if (isCharged && attempt !== undefined) known.attempt = attempt + 1;
    // It is unknown whether this attempt counts. The store is read when the next event of the job is needed.
    if (isReturn && !stored.has(key)) known.attempt = undefined;
    // The store keeps the reason of the last failed attempt only.
    const isLatest = isCharged && job?.finishedAt === undefined && job?.attempts === attempt;
    if (change === 'completed' || change === 'failed' || change === 'removed') this.#known.forget(queue, id);
    if (!this.#dependencies.interests.mayNeed(queue, change, id)) return undefined;
    if (isWaitJob(queue, known.task)) return waitEvent(change, id, job, entry.id);
    if (change === 'delayed' && !isReturn) return undefined;
    if (queue === INTERNAL_QUEUE) return this.#runEvent(change, id, known, job, entry.id);
    const event = await this.#withDetails(change, known, job, entry, id, isLatest);
    if (event === undefined) return undefined;
    return {
      ...event,
      at: new Date(timeOfId(entry.id)),
      id,
      task: known.task,
      queue,
      ...(known.runId !== undefined && { runId: known.runId }),
      ...(attempt !== undefined && event.type !== 'enqueued' && { attempt }),
    };
  }

  async #withDetails(
    change: JobChange,
    known: KnownJob,
    job: StoredJob | undefined,
    { id: at, fields }: Merged['entry'],
    id: string,
    isLatest: boolean,
  ): Promise<Details | undefined> {
    switch (change) {
      case 'added':
      case 'again':
        return { type: 'enqueued' };
      case 'progress':
        return this.#progress(fields.get('data'), id, known.task ?? '');
      case 'returned':
      case 'delayed': {
        const due = Number(fields.get('delay'));
        const delayMs = change === 'delayed' && due > 0 ? Math.max(0, due - timeOfId(at)) : 0;
        const reason = isLatest ? job?.failedReason : undefined;
        return { type: 'retried', delayMs, ...(reason !== undefined && { reason }) };
      }
      case 'completed':
        return { type: wasSkipped(job?.envelope) ? 'skipped' : 'completed' };
      case 'failed': {
        const state = job?.envelope?.failure?.state ?? 'failed';
        return state === 'failed'
          ? { type: state, reason: fields.get('failedReason') ?? '' }
          : { type: state };
      }
      case 'started':
      case 'stalled':
        return { type: change };
      default:
        return undefined;
    }
  }

  async #progress(data: string | undefined, id: string, task: string): Promise<Details | undefined> {
    const reported = await reportedOf(this.#dependencies.sealer, data, { id, task });
    return reported && { type: 'progress', ...reported };
  }

  #runEvent(
    change: JobChange,
    runId: string,
    known: KnownJob,
    job: StoredJob | undefined,
    entryId: string,
  ): Untranslated | undefined {
    if (!isRunJob(INTERNAL_QUEUE, known.task)) return undefined;
    const at = new Date(timeOfId(entryId));
    if (change === 'added' || change === 'again') return { type: 'run-started', at, runId };
    const state =
      change === 'failed'
        ? (job?.envelope?.failure?.state ?? 'failed')
        : wasSkipped(job?.envelope)
          ? 'skipped'
          : 'completed';
    return { type: 'run-finished', at, runId, state };
  }

  #workerEvent({ queue, entry }: Merged): Untranslated | undefined {
    const type = entry.fields.get('event');
    if (queue !== CONTROL_QUEUE || (type !== 'worker-online' && type !== 'worker-offline')) return undefined;
    const worker = workerOf(entry.fields.get('worker'));
    return worker && { type, at: new Date(timeOfId(entry.id)), worker };
  }

  #gap({ queue, entry }: Merged): Untranslated | undefined {
    return { type: 'gap', at: new Date(timeOfId(entry.id)), queue };
  }
}

/** Returns the event of a job that waits for a signal: the wait has begun, or its signal came. */
function waitEvent(
  change: JobChange,
  step: string,
  job: StoredJob | undefined,
  entryId: string,
): Untranslated | undefined {
  const { wait, waiting, run = step } = job?.envelope ?? {};
  // A job that is delayed before it has begun has a countdown.
  if (wait === undefined || waiting === undefined) return undefined;
  const { key, until, timedOut } = waiting;
  const facts = { at: new Date(timeOfId(entryId)), runId: run, step, signal: wait.signal, key };
  if (change === 'delayed')
    return { type: 'waiting', ...facts, ...(until !== undefined && { until: new Date(until) }) };
  return change === 'completed' && !timedOut ? { type: 'signalled', ...facts } : undefined;
}

/** Facts about a job from the preceding events of the same batch. */
interface Seen {
  readonly task?: string;
  readonly hasStarted: boolean;
  /** Whether it is unknown if the attempt from which it returned counts. */
  readonly isUncounted?: boolean;
}

type Changed = NonNullable<ReturnType<typeof changeOf>>;

/** The fields of an event beside those of its job. */
type Details = Untranslated extends infer Event
  ? Event extends { readonly id: string }
    ? Omit<Event, 'at' | 'id' | 'task' | 'queue' | 'runId' | 'attempt'>
    : never
  : never;

/** Returns how often each job returns to its queue according to the events. */
function countReturns(
  merged: readonly Merged[],
  changes: readonly (Changed | undefined)[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [index, { queue }] of merged.entries()) {
    const change = changes[index];
    if (change?.change !== 'returned' && change?.change !== 'delayed') continue;
    const key = keyOf(queue, change.id);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function keyOf(queue: string, id: string): string {
  return `${queue}:${id}`;
}
