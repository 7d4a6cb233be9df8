/** `app.events`: the events of an app, from a place on. */

import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { CancellableWait, onAbort, untilAborted } from '../base/wait.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { EventStreams, markEvents, type StreamEntry } from '../store/events.js';
import type { Store, StoreOptions } from '../store/store.js';
import {
  decodePosition,
  encodePosition,
  FIRST,
  idBefore,
  type Merged,
  type MergeEntry,
  type Position,
  previousId,
  takeBefore,
  timeOfId,
  Watermark,
} from './event-merge.js';
import {
  EventTranslator,
  isFirstDelay,
  JOB_TYPES,
  RUN_TYPES,
  type Wanted,
  WORKER_TYPES,
} from './event-translator.js';
import type { AppEvent, EventQuery, EventType } from './events.js';

// A query of events, checked.

const TYPES: readonly EventType[] = [...JOB_TYPES, ...RUN_TYPES, ...WORKER_TYPES, 'gap'];

const QUERY: OptionNames<EventQuery> = {
  from: true,
  types: true,
  tasks: true,
  queues: true,
  id: true,
  signal: true,
};

/** Which events are told, and of which streams. */
export interface Selection {
  readonly wanted: Wanted;
  /** The queues of tasks that are read. */
  readonly queues: ReadonlySet<string> | undefined;
  readonly from: 'now' | Position;
  readonly signal: AbortSignal | undefined;
}

/** @throws {InvalidOptionError} if the query has a value it cannot have. */
export function selectionOf(query: EventQuery): Selection {
  const { types, tasks, queues, id, signal, from = 'now' } = checkOptions(query, QUERY, { option: 'query' });
  const isOfJobs = tasks !== undefined || queues !== undefined;
  const told = new Set<EventType>(types === undefined ? TYPES : namesOf('types', types));
  for (const type of told) {
    if (!TYPES.includes(type)) throw new InvalidOptionError('types', `some of ${TYPES.join(', ')}`, type);
  }
  if (isOfJobs) for (const type of [...RUN_TYPES, ...WORKER_TYPES]) told.delete(type);
  if (id !== undefined) for (const type of WORKER_TYPES) told.delete(type);
  if (![...told].some((type) => type !== 'gap'))
    throw new InvalidOptionError('types', 'some that the other options leave', types);
  if (id !== undefined && (typeof id !== 'string' || id === ''))
    throw new InvalidOptionError('id', 'the id of a job or a run', id);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new InvalidOptionError('signal', 'an AbortSignal', signal);
  return {
    wanted: { types: told, tasks: tasks && new Set(namesOf('tasks', tasks)), id },
    queues: queues && new Set(namesOf('queues', queues)),
    from: placeOf(from),
    signal,
  };
}

/** The queues whose streams tell what is wanted. `known`: those of the app's tasks. */
export function streamsOf({ wanted: { types }, queues }: Selection, known: readonly string[]): string[] {
  const has = (some: readonly EventType[]) => some.some((type) => types.has(type));
  const ofJobs = has(JOB_TYPES) ? known.filter((queue) => queues === undefined || queues.has(queue)) : [];
  return [
    ...ofJobs,
    ...(has(RUN_TYPES) ? [INTERNAL_QUEUE] : []),
    ...(has(WORKER_TYPES) ? [CONTROL_QUEUE] : []),
  ];
}

function namesOf<Name extends string>(option: string, names: readonly Name[]): readonly Name[] {
  const isList =
    Array.isArray(names) && (names as readonly unknown[]).every((name) => typeof name === 'string');
  if (isList) return names;
  throw new InvalidOptionError(option, 'a list of names', names);
}

function placeOf(from: 'now' | 'start' | Date | string): 'now' | Position {
  if (from === 'now') return from;
  if (from === 'start') return { after: new Map(), start: FIRST };
  if (from instanceof Date && !Number.isNaN(from.getTime()))
    return { after: new Map(), start: idBefore(from.getTime()) };
  return decodePosition(typeof from === 'string' ? from : '');
}

// Reads the streams of an app's queues as one, until it is left.

/** Between two looks at the streams: soon after there was something, and ever later while there is nothing. */
const PAUSE_MS = { first: 2, max: 200 };
/** After the store could not be reached. */
const OUTAGE_PAUSE_MS = 250;
/** Events that are told before more is known of the next ones. */
const SLICE = 250;
/** What the store keeps of a stream at least, before it drops the oldest. */
const KEPT = { jobs: 10_000, control: 1000 };

export interface ReaderParts {
  readonly store: Store;
  readonly options: StoreOptions;
  /** The queues of tasks that the app knows by now. */
  readonly queues: () => readonly string[];
  readonly warn: (message: string) => void;
}

/** Where one stream stands. */
interface Stream {
  readonly queue: string;
  /** Read up to here. */
  readTo: string;
  /** An event of that id was there, and is there again at the next read, unless the store has dropped it. */
  isAnchored: boolean;
  readonly entries: MergeEntry[];
}

/** The place after all that has happened by now. What happens after the call is after it. */
export async function placeNow({ store, queues }: ReaderParts, selection: Selection): Promise<Position> {
  const names = streamsOf(selection, queues());
  const ids = await Promise.all(names.map((queue) => markEvents(store, queue)));
  // Ids are counted in each stream on its own: of other streams, what is as late as the first mark is after it.
  const start = idBefore(Math.min(...ids.map(timeOfId)));
  return { after: new Map(names.map((queue, index) => [queue, ids[index] ?? start])), start };
}

export class EventReader {
  readonly #parts: ReaderParts;
  readonly #selection: Selection;
  readonly #start: Position;
  readonly #streams = new Map<string, Stream>();
  /** What was told last of each queue. */
  readonly #told: Map<string, string>;
  readonly #input: EventStreams;
  readonly #watermark = new Watermark();
  readonly #ending = new CancellableWait();
  readonly #teller: EventTranslator;

  constructor(parts: ReaderParts, selection: Selection, start: Position) {
    this.#parts = parts;
    this.#selection = selection;
    this.#start = start;
    this.#told = new Map(start.after);
    this.#input = new EventStreams(parts.options);
    const { sealer } = parts.options;
    this.#teller = new EventTranslator({
      job: (queue, id) => parts.store.job(queue, id),
      sealer,
      wanted: selection.wanted,
    });
  }

  /** The events in order. A consumer that is slow keeps the next from being read. */
  async *events(closed: AbortSignal): AsyncGenerator<AppEvent, void> {
    const { signal } = this.#selection;
    const undo = [signal, closed].flatMap((each) => {
      if (each === undefined) return [];
      // A consumer that has stopped asking does not come back to end the connection.
      return [this.#ending.on(each), onAbort(each, () => void this.#closeInput())];
    });
    try {
      await this.#connect();
      let pauseMs = PAUSE_MS.first;
      for (;;) {
        const merged = await this.#round();
        if (merged.some(({ entry }) => entry.isGap)) this.#warnOfGaps(merged);
        for (let at = 0; at < merged.length; at += SLICE) {
          yield* this.#tell(merged.slice(at, at + SLICE));
        }
        const isQuiet = merged.length === 0 && this.#all().every(({ entries }) => entries.length === 0);
        pauseMs = isQuiet ? Math.min(pauseMs * 2, PAUSE_MS.max) : PAUSE_MS.first;
        await this.#pause(pauseMs);
      }
    } catch (error) {
      if (!signal?.aborted && !closed.aborted) throw error;
    } finally {
      for (const end of undo) end();
      await this.#closeInput();
    }
  }

  /** It is of no use any more, whatever becomes of it. */
  async #closeInput(): Promise<void> {
    await this.#input.close().catch(() => {});
  }

  async *#tell(merged: readonly Merged[]): AsyncGenerator<AppEvent, void> {
    const told = await this.#patiently(() => this.#teller.tell(merged));
    for (const [index, { queue, entry }] of merged.entries()) {
      if (!entry.isGap) this.#told.set(queue, entry.id);
      const event = told[index];
      if (event === undefined) continue;
      const position = encodePosition({ after: this.#told, start: this.#start.start });
      yield { ...event, position } as AppEvent; // one of them, without its position
      if (this.#selection.signal?.aborted) return;
    }
  }

  /** Reads what is new in all streams, and takes out what nothing can come before any more. */
  async #round(): Promise<Merged[]> {
    const startedAt = performance.now();
    const beforeMs = this.#watermark.at(startedAt);
    try {
      await this.#ending.race(this.#addStreams());
      const reads = await this.#ending.race(
        Promise.allSettled(this.#all().map((stream) => this.#read(stream))),
      );
      for (const read of reads) if (read.status === 'rejected') throw read.reason;
    } catch (error) {
      if (!this.#parts.store.isOutage(error)) throw error;
      await this.#pause(OUTAGE_PAUSE_MS);
      return []; // what is told next may be overtaken by what could not be read
    }
    return takeBefore(this.#all(), beforeMs);
  }

  async #read(stream: Stream): Promise<void> {
    const { queue, readTo, isAnchored } = stream;
    const entries = await this.#input.after(queue, isAnchored ? previousId(readTo) : readTo);
    if (entries.length === 0) {
      // It was emptied: the next read would wait again.
      await markEvents(this.#parts.store, queue);
      return;
    }
    const isThere = isAnchored && entries[0]?.id === readTo;
    const told = entries.filter((entry, index) => !isFirstDelay(entries[index - 1], entry));
    const fresh = isThere ? told.slice(1) : told;
    const isGap = isAnchored ? !isThere : this.#isCut(stream, entries);
    const [first] = fresh;
    if (isGap && first !== undefined) stream.entries.push({ ...first, fields: new Map(), isGap: true });
    stream.entries.push(...fresh);
    const last = entries.at(-1);
    if (last === undefined) return;
    stream.readTo = last.id;
    stream.isAnchored = true;
    this.#watermark.seen(timeOfId(last.id), performance.now());
  }

  /** Whether the store may have dropped some of what follows a place, of which it does not tell. */
  #isCut({ queue, readTo }: Stream, entries: readonly StreamEntry[]): boolean {
    return readTo !== FIRST && entries.length >= (queue === CONTROL_QUEUE ? KEPT.control : KEPT.jobs);
  }

  /** Adds the streams of queues that have become known. A mark lets them be read without a wait. */
  async #addStreams(): Promise<void> {
    const names = streamsOf(this.#selection, this.#parts.queues());
    const missing = names.filter((queue) => !this.#streams.has(queue));
    if (missing.length === 0) return;
    const { after, start } = this.#start;
    for (const queue of missing) {
      const id = after.get(queue);
      const isMarked = id !== undefined && this.#selection.from === 'now';
      if (!isMarked)
        this.#watermark.seen(timeOfId(await markEvents(this.#parts.store, queue)), performance.now());
      this.#streams.set(queue, { queue, readTo: id ?? start, isAnchored: id !== undefined, entries: [] });
    }
  }

  #all(): Stream[] {
    return [...this.#streams.values()];
  }

  /** @throws {ConnectionError} if the store cannot be reached. */
  async #connect(): Promise<void> {
    const { store } = this.#parts;
    await this.#ending.race(store.on(CONTROL_QUEUE, () => this.#input.ready()));
  }

  /** What `ask` gives, once the store is there. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#ending.race(ask());
      } catch (error) {
        if (!this.#parts.store.isOutage(error)) throw error;
        await this.#pause(OUTAGE_PAUSE_MS);
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const passed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    try {
      await this.#ending.race(passed);
    } finally {
      clearTimeout(timer);
    }
  }

  #warnOfGaps(merged: readonly Merged[]): void {
    if (this.#selection.wanted.types.has('gap')) return;
    const queues = new Set(merged.filter(({ entry }) => entry.isGap).map(({ queue }) => queue));
    this.#parts.warn(
      `events of ${[...queues].join(', ')} were dropped by the store before they were read; ` +
        "read faster, or list 'gap' among the `types` to be told where.",
    );
  }
}

/** The events, told as they are asked for. With `'now'` the place is noted at once, and not when the first is asked for. */
export function openEvents(parts: ReaderParts, query: EventQuery): AsyncIterableIterator<AppEvent> {
  const selection = selectionOf(query);
  const { from } = selection;
  const { closed } = parts.store;
  const isClosed = closed.aborted;
  const start = from === 'now' ? placeNow(parts, selection) : Promise.resolve(from);
  start.catch(() => {}); // it is thrown to whoever asks for the first event
  async function* events() {
    const { signal } = selection;
    if (signal?.aborted) return;
    if (isClosed) parts.store.checkOpen();
    if (closed.aborted) return;
    yield* untilAborted(new EventReader(parts, selection, await start).events(closed), signal);
  }
  return events();
}
