/** Turns stored events into those of an app. */
import { CONTROL_QUEUE } from '../bullmq/control.js';
import { type StoredJob, wasSkipped } from '../bullmq/stored-job.js';
import { INTERNAL_QUEUE, isRunJob } from '../flow/node.js';
import type { Sealer } from '../wire/sealing.js';
import { type Change, changeOf } from './entry.js';
import type { AppEvent } from './event.js';
import { failedAttempts, type KnownJob, KnownJobs, learn, mayBeStep } from './known-jobs.js';
import type { Merged } from './merge.js';
import { timeOfId } from './position.js';
import { reportedOf, workerOf } from './stored-values.js';

/** What those who read want; what none of them wants is not looked up. */
export interface Wants {
  /** Whether an event of a job that a change may be told as is wanted, as far as can be said without its task. */
  mayWant(queue: string, change: Change, id: string): boolean;
  /** Whether such an event is wanted of a task. */
  wantsTask(queue: string, change: Change, id: string, task: string): boolean;
}

export interface TellerParts {
  readonly job: (queue: string, id: string) => Promise<StoredJob | undefined>;
  readonly sealer: Sealer;
  readonly wants: Wants;
}

/** An event that has no position yet. */
export type Untold = AppEvent extends infer Event
  ? Event extends AppEvent
    ? Omit<Event, 'position'>
    : never
  : never;

/** Looks into the store that are under way at the same time: their answers come together. */
const LOOKS = 100;

export class Teller {
  readonly #parts: TellerParts;
  readonly #known = new KnownJobs();

  constructor(parts: TellerParts) {
    this.#parts = parts;
  }

  /** What each of the stored events tells; undefined for one that tells nothing, or nothing that is wanted. */
  async tell(merged: readonly Merged[]): Promise<(Untold | undefined)[]> {
    const changes = merged.map(changeOf);
    const stored = await this.#look(merged, changes);
    const returns = countReturns(merged, changes);
    const told: (Untold | undefined)[] = [];
    for (const [index, each] of merged.entries()) {
      const change = changes[index];
      if (each.entry.isGap) told.push(this.#gap(each));
      else if (change === undefined) told.push(this.#workerEvent(each));
      else told.push(await this.#jobEvent(each, change, stored, returns));
    }
    return told;
  }

  /** Reads the jobs of which more has to be known, each once. */
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
      const jobs = await Promise.all(slice.map(([, { queue, id }]) => this.#parts.job(queue, id)));
      for (const [index, [key]] of slice.entries()) found.set(key, jobs[index]);
    }
    return found;
  }

  #needsLook(queue: string, { change, id }: Changed, seen: Seen | undefined): boolean {
    if (!this.#parts.wants.mayWant(queue, change, id)) return false;
    const known = this.#known.find(queue, id);
    const task = known?.task ?? seen?.task;
    if (queue === INTERNAL_QUEUE) {
      if (task !== undefined && !isRunJob(queue, task)) return false;
      return task === undefined || change === 'completed' || change === 'failed';
    }
    if (task !== undefined && !this.#parts.wants.wantsTask(queue, change, id, task)) return false;
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
  ): Promise<Untold | undefined> {
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
    // Nobody has asked the store whether this one counts: whoever wants the next event of the job asks.
    if (isReturn && !stored.has(key)) known.attempt = undefined;
    // Of the attempts that have failed, the store keeps why the last one did.
    const isLatest = isCharged && job?.finishedAt === undefined && job?.attempts === attempt;
    if (change === 'completed' || change === 'failed' || change === 'removed') this.#known.forget(queue, id);
    if (!this.#parts.wants.mayWant(queue, change, id) || (change === 'delayed' && !isReturn))
      return undefined;
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
    change: Change,
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
    const reported = await reportedOf(this.#parts.sealer, data, { id, task });
    return reported && { type: 'progress', ...reported };
  }

  #runEvent(
    change: Change,
    runId: string,
    known: KnownJob,
    job: StoredJob | undefined,
    entryId: string,
  ): Untold | undefined {
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

  #workerEvent({ queue, entry }: Merged): Untold | undefined {
    const type = entry.fields.get('event');
    if (queue !== CONTROL_QUEUE || (type !== 'worker-online' && type !== 'worker-offline')) return undefined;
    const worker = workerOf(entry.fields.get('worker'));
    return worker && { type, at: new Date(timeOfId(entry.id)), worker };
  }

  #gap({ queue, entry }: Merged): Untold | undefined {
    return { type: 'gap', at: new Date(timeOfId(entry.id)), queue };
  }
}

/** What of a job was told shortly before. */
interface Seen {
  readonly task?: string;
  readonly hasStarted: boolean;
  /** Nobody has asked whether the attempt that it went back from counts. */
  readonly isUncounted?: boolean;
}

type Changed = NonNullable<ReturnType<typeof changeOf>>;

/** What an event has beside the facts of its job. */
type Details = Untold extends infer Event
  ? Event extends { readonly id: string }
    ? Omit<Event, 'at' | 'id' | 'task' | 'queue' | 'runId' | 'attempt'>
    : never
  : never;

/** How often each job goes back to its queue, as far as the events tell. */
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
