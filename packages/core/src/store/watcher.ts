/**
 * Tells those who wait for jobs of one queue how these come on: from the events of the queue, which one reader reads for
 * all of them, and by looks at many jobs at once.
 *
 * A wait begins with one look, which sees the job and the last event in one moment; later events are read, each once. As
 * long as the store shows that it has dropped none of them unread, nothing else is asked. A gap (the stream was trimmed
 * or emptied, the store was away or has forgotten its latest events) is followed by a look at every job. Besides, each
 * job is looked at once a minute, and when fewer than a hundred are waited for, every two seconds: it may have been
 * removed without an event.
 */

import { isUmbelError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { onAbort } from '../base/wait.js';
import type { StoreAccess, StoreOptions } from './access.js';
import { type StoredEvent, StreamReader } from './events.js';
import { LOOKED_AT, lookAtJobs, type Sight } from './job-looks.js';
import type { SeenJob } from './primitives/looks.js';

/**
 * Where a reader of a queue's events stands, and whether it may have missed some. Pure: the store is asked by
 * `watcher.ts`.
 *
 * A store drops the oldest events first. So if it still holds an event that the reader has passed, it has dropped none
 * of those that the reader has passed since.
 */

const FIRST = '0-0';

/** Whether one event is later in its stream than another one, by their ids. */
export function isLater(id: string, other: string): boolean {
  if (id.length === other.length && id.indexOf('-') === other.indexOf('-')) return id > other; // nearly all are
  const [ms = '', sequence = ''] = id.split('-');
  const [otherMs = '', otherSequence = ''] = other.split('-');
  if (ms !== otherMs) return Number(ms) > Number(otherMs);
  return Number(sequence) > Number(otherSequence);
}

export class StreamPosition {
  /** All events up to this one were read; undefined until the store has told of one. */
  at: string | undefined;
  /** Where reading began. */
  #start: string | undefined;
  /** An event that was passed, and was in the store when it was asked; undefined if it held none. */
  #anchor: string | undefined;

  /** Begins anew, from wherever the store stands when it is asked next. */
  forget(): void {
    this.at = undefined;
    this.#start = undefined;
    this.#anchor = undefined;
  }

  /** Whether events from this one on are read from the start. */
  covers(id: string): boolean {
    return this.#start !== undefined && !isLater(this.#start, id);
  }

  /**
   * Notes which events the store holds, as it has answered. Returns whether events may have been missed before.
   * @param readTo Where this stood when the store was asked.
   */
  note(first: string | undefined, last: string | undefined, readTo: string | undefined): boolean {
    if (this.at === undefined) {
      this.at = last ?? FIRST;
      this.#start = this.at;
      this.#anchor = last;
      return false;
    }
    if (readTo === undefined) return false; // asked before reading began
    if (first === undefined || last === undefined) return this.#isEmptied();
    if (this.#anchor === undefined) {
      this.#anchor = last; // what was the first event is not known
      return true;
    }
    // Of a store that has lost its latest events, the next ones may come before those that were read.
    const isReset = isLater(readTo, last);
    const isGap = isReset || isLater(first, this.#anchor);
    if (isReset) this.#restartAt(last);
    this.#anchor = isGap ? last : readTo;
    return isGap;
  }

  /** A stream without events: whatever comes is new. */
  #isEmptied(): boolean {
    const wasFilled = this.#anchor !== undefined;
    this.#anchor = undefined;
    this.#restartAt(FIRST);
    return wasFilled;
  }

  #restartAt(id: string): void {
    this.at = id;
    this.#start = id;
  }
}

/** How a job has ended. */
export interface JobEnd {
  /** `unreadable`: the store holds something else under its id. */
  readonly kind: 'completed' | 'failed' | 'missing' | 'unreadable';
  /** The result as JSON, or why it failed; undefined if that has to be read from the store. */
  readonly text: string | undefined;
}

/** Who waits for a job. */
export interface JobWait {
  /** Whether it goes on while the store is away, also before it was answered. */
  readonly isPatient?: boolean;
  /** The job has ended; nothing follows. */
  ended(end: JobEnd): void;
  /** The store could not be asked; nothing follows. */
  failed(error: unknown): void;
  /** What the job has reported, as JSON that anybody may have written. Only those that have this are told. */
  reported?(progress: string): void;
  /** The wait has lasted for a while, as have others: one of them is told. */
  lasts?(): void;
}

/** How long one read waits for events. A connection that is dead and does not say so is noticed after that. */
const BLOCK_MS = 2000;
/** Between two looks at what the store holds. */
const TICK_MS = 2000;
/** Within so many ticks, each job is looked at. */
const ROUND_TICKS = 30;
/** Jobs that every tick looks at. */
const LEAST_LOOKED_AT = 100;
/** The ticks after which a wait counts as one that lasts. */
const LASTS_TICKS = 3;
/** Events after which the store is asked whether it has dropped some: it keeps 10,000 by default. */
const EVENTS_A_CHECK = 2500;
/** After so long without anybody who waits, no events are read. */
const IDLE_MS = 5000;
/** Before a store that did not answer is asked again where its events stand. */
const AGAIN_MS = 1000;

/** One wait for one job. */
class Wait {
  readonly id: string;
  readonly who: JobWait;
  /** Another wait for the same job. */
  next: Wait | undefined;
  /** The last event when the job was seen pending. Those up to it say nothing new. Undefined until it was seen. */
  since: string | undefined;
  /** Whether events up to the job's end are known to come later than `since`. */
  isSure = false;
  /** What came before the first look was answered. */
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
  /** Waits that have not been looked at, or are to be looked at once more. */
  #unseen: Wait[] = [];
  #isFlushing = false;
  #round: IterableIterator<Wait> | undefined;
  #tick: NodeJS.Timeout | undefined;
  #ticks = 0;
  #isTicking = false;
  #isGap = false;
  #isLookingAtAll = false;
  #lookedAtAllAt = Number.NEGATIVE_INFINITY;
  /** The look that says where reading begins. */
  #firstLook: Promise<boolean> | undefined;
  /** Where the read that is under way begins. */
  #readFrom: string | undefined;
  #eventsSinceCheck = 0;
  /** Undefined while somebody waits. */
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
      suffix: ':qe', // as BullMQ's QueueEvents has it
      position: () => this.#from(),
      take: (events) => this.#take(events),
      broken: () => this.#noteGap(),
    });
  }

  /** Tells `who` how the job comes on; returns a function that stops it. */
  wait(id: string, who: JobWait): () => void {
    const wait = new Wait(id, who, this.#ticks);
    wait.next = this.#waits.get(id);
    this.#waits.set(id, wait);
    this.#lookSoon(wait);
    this.#begin();
    return () => this.#remove(wait);
  }

  /** Calls `listener` when the job ends or reports; returns a function that stops it. Events may be missed. */
  on(id: string, listener: () => void): () => void {
    return this.#listen(this.#hints, id, listener);
  }

  /** Calls `listener` when a job ends or reports whose id begins with this one and a dot. Events may be missed. */
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

  /** Everyone's wait is over. */
  #end(reason: unknown): void {
    for (const first of [...this.#waits.values()]) {
      for (let wait: Wait | undefined = first; wait !== undefined; wait = wait.next) {
        this.#remove(wait);
        wait.who.failed(reason);
      }
    }
  }

  // Events.

  /** Where to read on; waits while nobody is there to be told. */
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
    // Not if the store has begun anew meanwhile: then it is read from there.
    if (last !== undefined && this.#position.at === this.#readFrom) this.#position.at = last;
    this.#eventsSinceCheck += events.length;
    if (this.#eventsSinceCheck < EVENTS_A_CHECK || this.#waits.size === 0) return;
    void this.#lookAt([]);
  }

  #note(event: string, fields: readonly string[]): void {
    const kind = fieldOf(fields, 'event');
    if (kind === 'cleaned') this.#noteGap(); // it does not say which jobs are gone
    if (kind !== 'completed' && kind !== 'failed' && kind !== 'progress' && kind !== 'removed') return;
    const jobId = fieldOf(fields, 'jobId');
    if (jobId === undefined) return;
    for (let wait = this.#waits.get(jobId); wait !== undefined; ) {
      const { next } = wait; // it may be removed
      this.#tell(wait, event, kind, fields);
      wait = next;
    }
    if (this.#hints.size > 0) for (const listener of this.#hints.get(jobId) ?? []) listener();
    if (this.#below.size === 0) return;
    for (let dot = jobId.indexOf('.'); dot !== -1; dot = jobId.indexOf('.', dot + 1)) {
      for (const listener of this.#below.get(jobId.slice(0, dot)) ?? []) listener();
    }
  }

  #tell(
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
    // Those who come in the same turn are looked at together. Not by `queueMicrotask`, which the fake timers of Jest hold back.
    void Promise.resolve().then(() => {
      this.#isFlushing = false;
      const unseen = this.#unseen;
      this.#unseen = [];
      for (let at = 0; at < unseen.length; at += LOOKED_AT)
        void this.#lookAt(unseen.slice(at, at + LOOKED_AT));
    });
  }

  /** Looks at the jobs of these waits, and at the events. Whether the store has answered. Never rejects. */
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
      for (const wait of waits) this.#refuse(wait, error);
      this.#isGap = true;
      return false;
    }
    if (this.#isClosed) return true;
    const { events, lastEvent, jobs } = sight;
    if (events !== undefined) {
      if (this.#position.note(events.first, events.last, readTo)) this.#noteGap();
    } else if (this.#position.at === undefined) this.#position.note(lastEvent, lastEvent, undefined);
    const seen: (SeenJob | undefined)[] = new Array(waits.length);
    for (const job of jobs) seen[job.index] = job;
    for (const [index, wait] of waits.entries()) {
      if (!wait.isOver) this.#saw(wait, seen[index], lastEvent, events !== undefined);
    }
    return true;
  }

  /** A wait that was answered once goes on while the store is away; one that never was is told at once. */
  #refuse(wait: Wait, error: unknown): void {
    const isPatient = wait.since !== undefined || wait.who.isPatient === true;
    if (wait.isOver || (isPatient && isUmbelError(error, 'CONNECTION'))) return;
    this.#remove(wait);
    wait.who.failed(error);
  }

  #saw(wait: Wait, job: SeenJob | undefined, lastEvent: string, isOneMoment: boolean): void {
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
      // It was asked before reading began, and was answered after that.
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

  /** Events may have been missed: every job is looked at, now, or with the next tick if that was done just before. */
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
      await Promise.resolve(); // what is read in this turn is taken first
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

  // Ticks: only while somebody waits.

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
      this.#tellLasting();
      if (this.#isGap || this.#reader.isDeaf) await this.#lookAtAll();
      else await this.#lookAt(this.#nextOfRound());
    } finally {
      this.#isTicking = false;
      if (!this.#isClosed && this.#waits.size > 0) this.#tickLater();
    }
  }

  /** Some of the waits, each in its turn. */
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

  /** Tells one of those whose wait lasts since this tick. */
  #tellLasting(): void {
    let lasting: Wait | undefined;
    for (const wait of this.#waits.values()) {
      if (wait.begun === this.#ticks - LASTS_TICKS && wait.who.lasts !== undefined) lasting = wait;
    }
    lasting?.who.lasts?.();
  }
}

/** The value of a field; undefined if the event does not have it. */
function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}
