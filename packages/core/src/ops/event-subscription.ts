/** This module implements `app.events`: a subscription yields the events of an app from a position on, at its own pace. */

import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { onAbort } from '../base/wait.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { markEvents } from '../store/events.js';
import { compareIds, FIRST, idBefore, timeOfId } from '../store/stream-position.js';
import { decodePosition, type EventPosition, encodePosition, placeText } from './event-merge.js';
import {
  type Interests,
  JOB_TYPES,
  type JobChange,
  RUN_TYPES,
  typesOf,
  WORKER_TYPES,
} from './event-translator.js';
import type { AppEvent, EventQuery, EventType } from './events.js';
import type {
  EventReaderDependencies,
  LogEntry,
  SharedReader,
  SharedReaders,
} from './shared-event-reader.js';

// The checked query.

const TYPES: readonly EventType[] = [...JOB_TYPES, ...RUN_TYPES, ...WORKER_TYPES, 'gap'];

const QUERY: OptionNames<EventQuery> = {
  from: true,
  types: true,
  tasks: true,
  queues: true,
  id: true,
  signal: true,
};

/** The selected events and streams. */
export interface Selection {
  readonly filter: EventFilter;
  /** The queues of tasks to read. */
  readonly queues: ReadonlySet<string> | undefined;
  readonly from: 'now' | EventPosition;
  readonly signal: AbortSignal | undefined;
}

/** @throws {InvalidOptionError} if the query has an invalid value. */
function selectionOf(query: EventQuery): Selection {
  const { types, tasks, queues, id, signal, from = 'now' } = checkOptions(query, QUERY, { option: 'query' });
  const isOfJobs = tasks !== undefined || queues !== undefined;
  const selected = new Set<EventType>(types === undefined ? TYPES : namesOf('types', types));
  for (const type of selected) {
    if (!TYPES.includes(type)) throw new InvalidOptionError('types', `some of ${TYPES.join(', ')}`, type);
  }
  if (isOfJobs) for (const type of [...RUN_TYPES, ...WORKER_TYPES]) selected.delete(type);
  if (id !== undefined) for (const type of WORKER_TYPES) selected.delete(type);
  if (![...selected].some((type) => type !== 'gap'))
    throw new InvalidOptionError('types', 'at least one type that the other options allow', types);
  if (id !== undefined && (typeof id !== 'string' || id === ''))
    throw new InvalidOptionError('id', 'the id of a job or a run', id);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new InvalidOptionError('signal', 'an AbortSignal', signal);
  return {
    filter: { types: selected, tasks: tasks && new Set(namesOf('tasks', tasks)), id },
    queues: queues && new Set(namesOf('queues', queues)),
    from: placeOf(from),
    signal,
  };
}

/** Returns the queues whose streams have selected events. `known`: the queues of the app's tasks. */
function streamsOf(selection: Selection, known: readonly string[]): string[] {
  return [...known, INTERNAL_QUEUE, CONTROL_QUEUE].filter((queue) => readsStream(selection, queue));
}

/** Returns whether the stream of a queue has selected events. */
function readsStream({ filter: { types }, queues }: Selection, queue: string): boolean {
  const has = (some: readonly EventType[]) => some.some((type) => types.has(type));
  if (queue === INTERNAL_QUEUE) return has(RUN_TYPES);
  if (queue === CONTROL_QUEUE) return has(WORKER_TYPES);
  return has(JOB_TYPES) && (queues === undefined || queues.has(queue));
}

function namesOf<Name extends string>(option: string, names: readonly Name[]): readonly Name[] {
  const isList =
    Array.isArray(names) && (names as readonly unknown[]).every((name) => typeof name === 'string');
  if (isList) return names;
  throw new InvalidOptionError(option, 'a list of names', names);
}

function placeOf(from: 'now' | 'start' | Date | string): 'now' | EventPosition {
  if (from === 'now') return from;
  if (from === 'start') return { after: new Map(), start: FIRST };
  if (from instanceof Date && !Number.isNaN(from.getTime()))
    return { after: new Map(), start: idBefore(from.getTime()) };
  return decodePosition(typeof from === 'string' ? from : '');
}

// Interests: the events that a subscription needs, and those that all subscriptions of a reader need together.

/** The events that a subscription needs. */
export interface EventFilter {
  readonly types: ReadonlySet<EventType>;
  readonly tasks: ReadonlySet<string> | undefined;
  /** The id of a job, or of a run and its steps. */
  readonly id: string | undefined;
}

/** Returns whether a subscription yields an event. */
function isSelected({ types, tasks, id }: EventFilter, event: AppEvent): boolean {
  if (!types.has(event.type)) return false;
  if ('runId' in event && !('id' in event)) return id === undefined || isOf(id, event.runId);
  if (!('id' in event)) return true;
  if (id !== undefined && !isOf(id, event.id)) return false;
  return tasks === undefined || (event.task !== undefined && tasks.has(event.task));
}

/** The interests of several subscriptions. Equal ones, and those that are part of another, are counted once. */
export class SharedInterests implements Interests {
  /** Interests with the position in the log from which each has been applied. */
  readonly #since = new Map<EventFilter, number>();

  /** Adds the interest of a subscription from a position on. */
  add(filter: EventFilter, place: number): void {
    this.#since.set(filter, Math.min(place, this.since(filter)));
  }

  delete(filter: EventFilter): void {
    this.#since.delete(filter);
  }

  /** Returns the position from which every event that a subscription needs was translated; infinite if there is none. */
  since(filter: EventFilter): number {
    let since = Number.POSITIVE_INFINITY;
    for (const [other, from] of this.#since) if (from < since && includes(other, filter)) since = from;
    return since;
  }

  mayNeed(queue: string, change: JobChange, id: string): boolean {
    const types = typesOf(queue, change);
    for (const filter of this.#since.keys()) if (mayNeed(filter, types, id)) return true;
    return false;
  }

  needsTask(queue: string, change: JobChange, id: string, task: string): boolean {
    const types = typesOf(queue, change);
    for (const filter of this.#since.keys())
      if (filter.tasks?.has(task) !== false && mayNeed(filter, types, id)) return true;
    return false;
  }
}

function mayNeed(filter: EventFilter, types: readonly EventType[], id: string): boolean {
  if (filter.id !== undefined && !isOf(filter.id, id)) return false;
  return types.some((type) => filter.types.has(type));
}

/** Returns whether `id` is the selected id, or the id of a step of that run. */
function isOf(only: string, id: string): boolean {
  return id === only || id.startsWith(`${only}.`);
}

/** Returns whether one interest is part of another. */
function includes(all: EventFilter, part: EventFilter): boolean {
  if (all === part) return true;
  if (all.id !== undefined && all.id !== part.id) return false;
  if (!isSubset(part.types, all.types)) return false;
  return all.tasks === undefined || (part.tasks !== undefined && isSubset(part.tasks, all.tasks));
}

function isSubset<T>(part: ReadonlySet<T>, all: ReadonlySet<T>): boolean {
  for (const value of part) if (!all.has(value)) return false;
  return true;
}

type Answer = IteratorResult<AppEvent, undefined>;

/** A pending call of `next`. */
interface Ask {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: Answer = { done: true, value: undefined };

/** Returns the position after every event so far. Every event after the call comes after it. */
async function placeNow(
  { store, queues }: EventReaderDependencies,
  selection: Selection,
): Promise<EventPosition> {
  const names = streamsOf(selection, queues());
  const ids = await Promise.all(names.map((queue) => markEvents(store, queue)));
  // Ids count in each stream separately: in other streams, events as late as the first mark come after it.
  const start = idBefore(Math.min(...ids.map(timeOfId)));
  return { after: new Map(names.map((queue, index) => [queue, ids[index] ?? start])), start };
}

/**
 * Yields events on demand. With `'now'` the position is read when the subscription is created. It reads no events and holds
 * no connection before the first call of `next`.
 */
export class Subscription implements AsyncIterableIterator<AppEvent> {
  readonly #readers: SharedReaders;
  readonly #dependencies: EventReaderDependencies;
  readonly #selection: Selection;
  readonly #closed: AbortSignal;
  readonly #wasClosed: boolean;
  readonly #placing: Promise<EventPosition>;
  #start: EventPosition = { after: new Map(), start: '' };
  /** The first part of each position. */
  #startText = '';
  /** The last event of each queue that was yielded or skipped. */
  readonly #returned = new Map<string, Pick<LogEntry, 'id' | 'text'>>();
  /** Returns whether the stream of a queue has selected events. */
  readonly #isRead = new Map<string, boolean>();
  /** Events later than this come after the start, and were not yielded. */
  #coveredMs = Number.POSITIVE_INFINITY;
  #phase: 'new' | 'placing' | 'open' | 'over' = 'new';
  readonly #asks: Ask[] = [];
  #reader: SharedReader | undefined;
  #place = 0;
  #hasBegun = false;
  #undo: (() => void)[] = [];

  /** @throws {InvalidOptionError} if the query has an invalid value. */
  constructor(readers: SharedReaders, query: EventQuery) {
    const selection = selectionOf(query);
    const { from } = selection;
    this.#readers = readers;
    this.#dependencies = readers.dependencies;
    this.#selection = selection;
    this.#closed = this.#dependencies.store.closed;
    this.#wasClosed = this.#closed.aborted;
    this.#placing = from === 'now' ? placeNow(this.#dependencies, selection) : Promise.resolve(from);
    this.#placing.catch(() => {}); // `next` throws it
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Answer> {
    if (this.#phase === 'over') return Promise.resolve(DONE);
    if (this.#asks.length === 0) {
      const value = this.#take();
      if (value !== undefined) return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      this.#asks.push({ resolve, reject });
      if (this.#phase === 'new') void this.#begin();
      else if (this.#phase === 'open') this.more();
    });
  }

  async return(): Promise<Answer> {
    this.#end();
    return DONE;
  }

  async throw(error: unknown): Promise<Answer> {
    this.#end();
    throw error;
  }

  // Used by its reader.

  get filter(): EventFilter {
    return this.#selection.filter;
  }

  get reader(): SharedReader | undefined {
    return this.#reader;
  }

  /** Its position in the log of its reader. */
  get place(): number {
    return this.#place;
  }

  /** Whether it has yielded an event or had a reader before: then it waits while the store is unreachable. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Its streams, as far as they are known. */
  queues(): string[] {
    return streamsOf(this.#selection, this.#dependencies.queues());
  }

  /** Returns the id after which it yields events of a queue. */
  placeIn(queue: string): string {
    return this.#returned.get(queue)?.id ?? this.#start.start;
  }

  /** Returns whether an event with that id existed. */
  isAnchored(queue: string): boolean {
    return this.#returned.has(queue);
  }

  /** Returns whether a mark was written into the stream of a queue for it. */
  isMarked(queue: string): boolean {
    return this.#selection.from === 'now' && this.#start.after.has(queue);
  }

  joined(reader: SharedReader, place: number): void {
    this.#reader = reader;
    this.#place = place;
    this.#coveredMs = timeOfId(this.#start.start);
    for (const { id } of this.#returned.values()) this.#coveredMs = Math.max(this.#coveredMs, timeOfId(id));
    if (this.#asks.length > 0) this.more();
  }

  /** Leaves its reader until the next call of `next`. */
  leave(): void {
    this.#hasBegun = true;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.remove(this);
  }

  /** Called when there may be more events in the log of its reader. */
  more(): void {
    if (this.#phase !== 'open') return;
    while (this.#asks.length > 0) {
      if (this.#reader === undefined) {
        this.#readers.place(this); // calls this method again
        return;
      }
      const value = this.#take();
      if (value === undefined) {
        this.#reader?.wait(this);
        return;
      }
      this.#asks.shift()?.resolve({ done: false, value });
    }
  }

  failed(error: unknown): void {
    const ask = this.#asks.shift();
    this.#end();
    ask?.reject(error);
  }

  async #begin(): Promise<void> {
    const { signal } = this.#selection;
    this.#phase = 'placing';
    try {
      if (signal?.aborted) return this.#end();
      if (this.#wasClosed) this.#dependencies.store.checkOpen();
      if (this.#closed.aborted) return this.#end();
      for (const each of [signal, this.#closed])
        if (each !== undefined) this.#undo.push(onAbort(each, () => this.#end()));
      this.#start = await this.#placing;
      if (this.#phase !== 'placing') return;
      const { after, start } = this.#start;
      for (const [queue, id] of after) this.#returned.set(queue, { id, text: placeText(queue, id) });
      this.#startText = encodePosition({ after: new Map(), start });
      this.#phase = 'open';
      this.more();
    } catch (error) {
      if (this.#phase === 'placing') this.failed(error);
    }
  }

  #end(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    for (const undo of this.#undo.splice(0)) undo();
    this.#reader = undefined;
    this.#readers.forget(this);
    for (const { resolve } of this.#asks.splice(0)) resolve(DONE);
  }

  /** Returns its next event in the log of its reader. */
  #take(): AppEvent | undefined {
    const reader = this.#reader;
    if (reader === undefined) return undefined;
    for (let entry = reader.at(this.#place); entry !== undefined; entry = reader.at(this.#place)) {
      this.#place += 1;
      const event = this.#pass(entry);
      if (event === undefined) continue;
      this.#hasBegun = true;
      let position = this.#startText;
      for (const { text } of this.#returned.values()) position += text;
      return copied(event, entry.ms, position);
    }
    return undefined;
  }

  /** Returns the event of an entry for this subscription. */
  #pass(entry: LogEntry): AppEvent | undefined {
    const { queue, id, ms, isGap, event } = entry;
    if (!this.#reads(queue)) return undefined;
    if (ms <= this.#coveredMs && compareIds(id, this.placeIn(queue)) <= 0) return undefined;
    if (!isGap) this.#returned.set(queue, entry);
    const isReturned = event !== undefined && isSelected(this.#selection.filter, event);
    if (isGap && !isReturned) this.#warnOfGap(entry);
    return isReturned ? event : undefined;
  }

  #reads(queue: string): boolean {
    let isRead = this.#isRead.get(queue);
    if (isRead === undefined) {
      isRead = readsStream(this.#selection, queue);
      this.#isRead.set(queue, isRead);
    }
    return isRead;
  }

  #warnOfGap(gap: LogEntry): void {
    if (gap.isWarned) return;
    gap.isWarned = true;
    this.#dependencies.warn(
      `the store dropped events of queue ${gap.queue} before they were read; ` +
        "read faster, or add 'gap' to `types` to see where.",
    );
  }
}

/**
 * Returns a copy of an event, which its receiver may change without an effect on other subscriptions. Engines copy objects
 * fast where they see few shapes and no new fields, so each frequent type has its own branch.
 */
function copied(event: AppEvent, ms: number, position: string): AppEvent {
  const at = new Date(ms);
  switch (event.type) {
    case 'enqueued':
      return { ...event, at, position };
    case 'started':
      return { ...event, at, position };
    case 'completed':
      return { ...event, at, position };
    case 'progress':
      return { ...event, at, position, value: structuredClone(event.value) };
    default:
      return { ...event, at, position };
  }
}
