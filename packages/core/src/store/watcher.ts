/**
 * This module notifies callers that wait for jobs of one queue. One reader of the queue's events serves all of them, and
 * looks read the state of many jobs at once. It guarantees that no end of a job is missed.
 *
 * A wait begins with one look, which reads the job and the last event at one moment; later events are read, each once. As
 * long as the store shows that it has dropped no unread event, no other command is needed. After a gap (the stream was
 * trimmed or emptied, or the store was unreachable or lost its latest events) every job is looked at. In addition, each
 * job is looked at once a minute, and every two seconds if there are fewer than a hundred waits: a job may be removed
 * without an event.
 */

import type { IQueueBackend } from 'bullmq';
import { isUmbelError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { onAbort } from '../base/wait.js';
import type { StoreAccess, StoreOptions } from './access.js';
import { JOB_STATUS, MARK } from './engine/commands.js';
import { type StoredEvent, StreamReader, UNTRIMMED } from './events.js';
import { type Looks, lookPrimitiveOf, type SeenJob } from './primitives/looks.js';
import { FIRST, isLater, StreamPosition } from './stream-position.js';

/** End of a job. */
export interface JobEnd {
  /** `unreadable`: the store holds another type under its id. */
  readonly kind: 'completed' | 'failed' | 'missing' | 'unreadable';
  /** The result as JSON, or the reason of the failure; undefined if it has to be read from the store. */
  readonly text: string | undefined;
}

/** Receiver of the notifications of a wait. */
export interface JobWait {
  /** Whether the wait continues while the store is unreachable, even before the first answer. */
  readonly isPatient?: boolean;
  /** Called when the job has ended; the last call. */
  ended(end: JobEnd): void;
  /** Called when the store could not be asked; the last call. */
  failed(error: unknown): void;
  /** Called with reported progress, as JSON that any program may have written. */
  reported?(progress: string): void;
  /** Called when the wait has lasted for a while; for one of several such waits only. */
  lasts?(): void;
}

/** Blocking time of a read of events, after which a silently dead connection is noticed. */
const BLOCK_MS = 2000;
/** Time between two looks. */
const TICK_MS = 2000;
/** Number of ticks within which each job is looked at. */
const ROUND_TICKS = 30;
/** Minimum number of jobs that each tick looks at. */
const LEAST_LOOKED_AT = 100;
/** Number of ticks after which `lasts` is called. */
const LASTS_TICKS = 3;
/** Number of events after which a look checks for dropped ones: the store keeps 10,000 by default. */
const EVENTS_A_CHECK = 2500;
/** Time without waits after which reading stops. */
const IDLE_MS = 5000;
/** Pause before a failed first look is repeated. */
const AGAIN_MS = 1000;

/** One wait for one job. */
class Wait {
  readonly id: string;
  readonly who: JobWait;
  /** Another wait for the same job. */
  next: Wait | undefined;
  /** Last event when the job was seen pending; events up to it are ignored. Undefined until the first look. */
  since: string | undefined;
  /** Whether the end of the job certainly comes after `since`. */
  isSure = false;
  /** End that an event reported before the first look was answered. */
  end: JobEnd | undefined;
  endEvent: string | undefined;
  progress: string | undefined;
  progressEvent: string | undefined;
  isOver = false;
  readonly begun: number;

  constructor(id: string, who: JobWait, begun: number) {
    this.id = id;
    this.who = who;
    this.begun = begun;
  }
}

export class Watcher {
  readonly #queue: string;
  readonly #access: StoreAccess;
  readonly #options: StoreOptions;
  readonly #position = new StreamPosition();
  readonly #reader: StreamReader;
  readonly #waits = new Map<string, Wait>();
  readonly #hints = new Map<string, Set<() => void>>();
  readonly #below = new Map<string, Set<() => void>>();
  /** Waits for the next look. */
  #unseen: Wait[] = [];
  #isFlushing = false;
  #round: IterableIterator<Wait> | undefined;
  #tick: NodeJS.Timeout | undefined;
  #ticks = 0;
  #isTicking = false;
  #isGap = false;
  #isLookingAtAll = false;
  #lookedAtAllAt = Number.NEGATIVE_INFINITY;
  /** The look that sets the position where reading begins. */
  #firstLook: Promise<boolean> | undefined;
  /** Start position of the pending read. */
  #readFrom: string | undefined;
  #eventsSinceCheck = 0;
  /** Time of the last wait's end; undefined while there are waits. */
  #idleSince: number | undefined = Number.NEGATIVE_INFINITY;
  #wake: (() => void) | undefined;
  #isClosed = false;
  readonly #uncall: () => void;

  constructor(queue: string, access: StoreAccess, options: StoreOptions) {
    this.#queue = queue;
    this.#access = access;
    this.#options = options;
    this.#uncall = onAbort(access.backends.closed, (reason) => this.#end(reason));
    this.#reader = new StreamReader(queue, options, {
      blockMs: BLOCK_MS,
      suffix: ':qe', // the suffix of BullMQ's QueueEvents
      position: () => this.#from(),
      take: (events) => this.#take(events),
      broken: () => this.#noteGap(),
      ended: (ids) => this.#noteEnded(ids),
    });
  }

  /** Notifies `who` about the job. Returns a function that stops it. */
  wait(id: string, who: JobWait): () => void {
    const wait = new Wait(id, who, this.#ticks);
    wait.next = this.#waits.get(id);
    this.#waits.set(id, wait);
    this.#lookSoon(wait);
    this.#begin();
    return () => this.#remove(wait);
  }

  /** Calls `listener` when the job ends or reports progress; events may be missed. Returns a function that stops it. */
  on(id: string, listener: () => void): () => void {
    return this.#listen(this.#hints, id, listener);
  }

  /** Calls `listener` like `on`, for all jobs whose ids begin with `id` and a dot. */
  onBelow(id: string, listener: () => void): () => void {
    return this.#listen(this.#below, id, listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#tick);
    this.#uncall();
    this.#wake?.();
    await this.#reader.close();
  }

  #listen(listeners: Map<string, Set<() => void>>, id: string, listener: () => void): () => void {
    const all = listeners.get(id) ?? new Set();
    listeners.set(id, all.add(listener));
    this.#begin();
    return () => {
      all.delete(listener);
      if (all.size === 0 && listeners.get(id) === all) listeners.delete(id);
      this.#noteIdle();
    };
  }

  get #isIdle(): boolean {
    return this.#waits.size + this.#hints.size + this.#below.size === 0;
  }

  #noteIdle(): void {
    if (this.#isIdle) this.#idleSince = performance.now();
  }

  #begin(): void {
    this.#idleSince = undefined;
    this.#wake?.();
    if (this.#tick === undefined && !this.#isTicking) this.#tickLater();
  }

  #remove(wait: Wait): void {
    if (wait.isOver) return;
    wait.isOver = true;
    const first = this.#waits.get(wait.id);
    if (first === wait) {
      if (wait.next === undefined) this.#waits.delete(wait.id);
      else this.#waits.set(wait.id, wait.next);
    } else {
      for (let each = first; each !== undefined; each = each.next) {
        if (each.next !== wait) continue;
        each.next = wait.next;
        break;
      }
    }
    this.#noteIdle();
  }

  /** Fails all waits. */
  #end(reason: unknown): void {
    for (const first of [...this.#waits.values()]) {
      for (let wait: Wait | undefined = first; wait !== undefined; wait = wait.next) {
        this.#remove(wait);
        wait.who.failed(reason);
      }
    }
  }

  // Events.

  /** Returns the position of the next read; waits while there are no waits. */
  async #from(): Promise<string> {
    for (;;) {
      if (this.#isClosed) return '$';
      const { at } = this.#position;
      if (this.#idleSince === undefined || performance.now() - this.#idleSince < IDLE_MS) {
        this.#readFrom = at;
        if (at !== undefined) return at;
        if (!(await (this.#firstLook ?? this.#lookAt([])))) await this.#options.pause(AGAIN_MS);
        continue;
      }
      this.#position.forget();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  #take(events: readonly StoredEvent[]): void {
    for (const [id, fields] of events) this.#note(id, fields);
    const last = events.at(-1)?.[0];
    // If a look has reset the position in the meantime, reading continues from there.
    if (last !== undefined && this.#position.at === this.#readFrom) this.#position.at = last;
    this.#eventsSinceCheck += events.length;
    if (this.#eventsSinceCheck < EVENTS_A_CHECK || this.#waits.size === 0) return;
    void this.#lookAt([]);
  }

  /** Looks at the jobs that have ended. Returns whether others wait for their events. */
  #noteEnded(ids: readonly string[]): boolean {
    for (const id of ids) {
      for (let wait = this.#waits.get(id); wait !== undefined; wait = wait.next) this.#lookSoon(wait);
    }
    return this.#hints.size + this.#below.size > 0;
  }

  #note(event: string, fields: readonly string[]): void {
    const kind = fieldOf(fields, 'event');
    if (kind === 'cleaned') this.#noteGap(); // the event does not contain the ids of the removed jobs
    if (kind !== 'completed' && kind !== 'failed' && kind !== 'progress' && kind !== 'removed') return;
    const jobId = fieldOf(fields, 'jobId');
    if (jobId === undefined) return;
    for (let wait = this.#waits.get(jobId); wait !== undefined; ) {
      const { next } = wait; // the wait may be removed
      this.#handleEvent(wait, event, kind, fields);
      wait = next;
    }
    if (this.#hints.size > 0) for (const listener of this.#hints.get(jobId) ?? []) listener();
    if (this.#below.size === 0) return;
    for (let dot = jobId.indexOf('.'); dot !== -1; dot = jobId.indexOf('.', dot + 1)) {
      for (const listener of this.#below.get(jobId.slice(0, dot)) ?? []) listener();
    }
  }

  #handleEvent(
    wait: Wait,
    event: string,
    kind: 'completed' | 'failed' | 'progress' | 'removed',
    fields: readonly string[],
  ): void {
    const { since, isSure } = wait;
    if (since !== undefined && !isLater(event, since)) return;
    if (kind === 'removed') {
      this.#lookSoon(wait);
      return;
    }
    if (kind === 'progress') {
      const progress = fieldOf(fields, 'data');
      if (wait.who.reported === undefined || progress === undefined) return;
      wait.progressEvent = event;
      if (since === undefined) wait.progress = progress;
      else wait.who.reported(progress);
      return;
    }
    const end: JobEnd = { kind, text: fieldOf(fields, kind === 'failed' ? 'failedReason' : 'returnvalue') };
    if (since === undefined) {
      wait.end = end;
      wait.endEvent = event;
    } else if (isSure) this.#finish(wait, end);
    else this.#lookSoon(wait);
  }

  #finish(wait: Wait, end: JobEnd): void {
    this.#remove(wait);
    wait.who.ended(end);
  }

  // Looks.

  #lookSoon(wait: Wait): void {
    this.#unseen.push(wait);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // Waits of the same turn share a look. Jest's fake timers block `queueMicrotask`, so a promise is used.
    void Promise.resolve().then(() => {
      this.#isFlushing = false;
      const unseen = this.#unseen;
      this.#unseen = [];
      for (let at = 0; at < unseen.length; at += LOOKED_AT)
        void this.#lookAt(unseen.slice(at, at + LOOKED_AT));
    });
  }

  /** Looks at the jobs of these waits and at the events. Returns whether the store has answered. Never rejects. */
  #lookAt(waits: readonly Wait[]): Promise<boolean> {
    const look = this.#look(waits);
    if (this.#position.at === undefined) {
      this.#firstLook ??= look.finally(() => {
        this.#firstLook = undefined;
      });
    }
    return look;
  }

  async #look(asked: readonly Wait[]): Promise<boolean> {
    const followers = asked.filter(({ who }) => who.reported !== undefined);
    const waits =
      followers.length === 0
        ? asked
        : [...followers, ...asked.filter(({ who }) => who.reported === undefined)];
    const ids = waits.map(({ id }) => id);
    const readTo = this.#position.at;
    this.#eventsSinceCheck = 0;
    let sight: Sight;
    try {
      sight = await this.#access.on(this.#queue, (bull) =>
        lookAtJobs(bull.getBackend(), ids, followers.length, this.#position.at),
      );
    } catch (error) {
      for (const wait of waits) this.#fail(wait, error);
      this.#isGap = true;
      return false;
    }
    if (this.#isClosed) return true;
    const { events, lastEvent, jobs, mayRepeat } = sight;
    if (events !== undefined) {
      if (this.#position.note(events.first, events.last, readTo)) this.#noteGap();
    } else if (this.#position.at === undefined) this.#position.note(lastEvent, lastEvent, undefined);
    const seen: (SeenJob | undefined)[] = new Array(waits.length);
    for (const job of jobs) seen[job.index] = job;
    for (const [index, wait] of waits.entries()) {
      if (!wait.isOver)
        this.#handleLook(wait, seen[index], lastEvent, events !== undefined && mayRepeat !== true);
    }
    return true;
  }

  /** Fails a wait, unless it is patient or was answered before and the store is only unreachable. */
  #fail(wait: Wait, error: unknown): void {
    const isPatient = wait.since !== undefined || wait.who.isPatient === true;
    if (wait.isOver || (isPatient && isUmbelError(error, 'CONNECTION'))) return;
    this.#remove(wait);
    wait.who.failed(error);
  }

  #handleLook(wait: Wait, job: SeenJob | undefined, lastEvent: string, isOneMoment: boolean): void {
    const isFirst = wait.since === undefined;
    const { progressEvent } = wait;
    if (job?.progress !== undefined && (progressEvent === undefined || !isLater(progressEvent, lastEvent))) {
      wait.who.reported?.(job.progress);
    }
    if (job !== undefined && job.status !== 'pending') {
      this.#finish(wait, { kind: job.status, text: job.text });
      return;
    }
    if (isFirst && !this.#position.covers(lastEvent)) {
      // The look was sent before reading began and answered after that.
      this.#lookSoon(wait);
      return;
    }
    wait.since = lastEvent;
    wait.isSure = isOneMoment;
    if (!isFirst) return;
    const { end, endEvent, progress } = wait;
    if (progress !== undefined && progressEvent !== undefined && isLater(progressEvent, lastEvent)) {
      wait.who.reported?.(progress);
    }
    wait.progress = undefined;
    wait.end = undefined;
    if (end === undefined || endEvent === undefined || !isLater(endEvent, lastEvent)) return;
    if (isOneMoment) this.#finish(wait, end);
    else this.#lookSoon(wait);
  }

  /** Looks at every job because events may have been missed: now, or with the next tick if that was done just before. */
  #noteGap(): void {
    if (this.#isClosed) return;
    this.#isGap = true;
    if (performance.now() - this.#lookedAtAllAt >= TICK_MS) void this.#lookAtAll();
  }

  async #lookAtAll(): Promise<void> {
    if (this.#isLookingAtAll) return;
    this.#isLookingAtAll = true;
    this.#lookedAtAllAt = performance.now();
    try {
      await Promise.resolve(); // handle the events of this turn first
      this.#isGap = false;
      const waits = [...this.#all()];
      for (let at = 0; at < waits.length && !this.#isClosed; at += LOOKED_AT) {
        const slice = waits.slice(at, at + LOOKED_AT).filter(({ isOver }) => !isOver);
        if (slice.length > 0 && !(await this.#lookAt(slice))) return;
      }
    } finally {
      this.#isLookingAtAll = false;
    }
  }

  *#all(): IterableIterator<Wait> {
    for (const first of this.#waits.values()) {
      for (let wait: Wait | undefined = first; wait !== undefined; wait = wait.next) yield wait;
    }
  }

  // Ticks, only while there are waits.

  #tickLater(): void {
    this.#tick = setTimeout(() => void this.#onTick(), TICK_MS);
    if (this.#options.isUnshared) this.#tick.unref();
  }

  async #onTick(): Promise<void> {
    this.#tick = undefined;
    if (this.#isClosed || this.#waits.size === 0) return;
    this.#isTicking = true;
    try {
      this.#ticks += 1;
      this.#notifyLasting();
      if (this.#isGap || this.#reader.isDeaf) await this.#lookAtAll();
      else await this.#lookAt(this.#nextOfRound());
    } finally {
      this.#isTicking = false;
      if (!this.#isClosed && this.#waits.size > 0) this.#tickLater();
    }
  }

  /** Returns the next waits in round-robin order. */
  #nextOfRound(): Wait[] {
    const count = Math.max(LEAST_LOOKED_AT, Math.min(Math.ceil(this.#waits.size / ROUND_TICKS), LOOKED_AT));
    const next: Wait[] = [];
    for (let rounds = 0; rounds < 2 && next.length < count; ) {
      this.#round ??= this.#all();
      const { value, done } = this.#round.next();
      if (done) {
        this.#round = undefined;
        rounds += 1;
        if (next.length >= this.#waits.size) break;
      } else if (!value.isOver) next.push(value);
    }
    return [...new Set(next)];
  }

  /** Calls `lasts` of one of the waits that reach the limit at this tick. */
  #notifyLasting(): void {
    let lasting: Wait | undefined;
    for (const wait of this.#waits.values()) {
      if (wait.begun === this.#ticks - LASTS_TICKS && wait.who.lasts !== undefined) lasting = wait;
    }
    lasting?.who.lasts?.();
  }
}

/** Returns the value of a field; undefined if the event does not have it. */
function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

// Looks: reads of the states of many jobs of a queue at once, on every store.

/** Result of a look. */
interface Sight extends Looks {
  /** Id of the last event before the look; an earlier one if the store does not report its events. */
  readonly lastEvent: string;
}

/** Number of jobs that one command reads: 1,000 would block Redis for a few milliseconds. */
const LOOKED_AT = 500;

/**
 * Reads the state of jobs. If the store has no command for that, reads the jobs one by one.
 * @param followed Number of ids, from the first, whose progress is read too.
 * @param at Position up to which the events were read. Without it, and if the store does not report its events, a mark is
 * written as the start position.
 */
async function lookAtJobs(
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
