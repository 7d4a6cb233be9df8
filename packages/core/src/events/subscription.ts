/** `app.events`: one who follows the events of an app from a place on, at its own pace. */
import { onAbort } from '../abort.js';
import { markEvents } from '../bullmq/event-streams.js';
import type { AppEvent, EventQuery } from './event.js';
import { compareIds, encodePosition, idBefore, type Position, placeText, timeOfId } from './position.js';
import { readsStream, type Selection, selectionOf, streamsOf } from './selection.js';
import type { LogEntry, ReaderParts, SharedReader } from './shared-reader.js';
import type { SharedReaders } from './shared-readers.js';
import type { Untold } from './teller.js';
import { isWanted, type Wanted } from './wanted.js';

type Answer = IteratorResult<AppEvent, undefined>;

/** A call of `next` that is not answered yet. */
interface Ask {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: Answer = { done: true, value: undefined };

/** The place after all that has happened by now. What happens after the call is after it. */
async function placeNow({ store, queues }: ReaderParts, selection: Selection): Promise<Position> {
  const names = streamsOf(selection, queues());
  const ids = await Promise.all(names.map((queue) => markEvents(store, queue)));
  // Ids are counted in each stream on its own: of other streams, what is as late as the first mark is after it.
  const start = idBefore(Math.min(...ids.map(timeOfId)));
  return { after: new Map(names.map((queue, index) => [queue, ids[index] ?? start])), start };
}

/**
 * The events, told as they are asked for. With `'now'` the place is noted at once, and not when the first is asked for.
 * It takes nothing, and holds no connection, before the first is asked for.
 */
export class Subscription implements AsyncIterableIterator<AppEvent> {
  readonly #readers: SharedReaders;
  readonly #parts: ReaderParts;
  readonly #selection: Selection;
  readonly #closed: AbortSignal;
  readonly #wasClosed: boolean;
  readonly #placing: Promise<Position>;
  #start: Position = { after: new Map(), start: '' };
  /** What each position begins with. */
  #startText = '';
  /** The last event of each queue that was told, or passed over. */
  readonly #told = new Map<string, Pick<LogEntry, 'id' | 'text'>>();
  /** Whether the stream of a queue tells what is wanted. */
  readonly #isRead = new Map<string, boolean>();
  /** Events that are later than this are after the start, and were not told. */
  #coveredMs = Number.POSITIVE_INFINITY;
  #phase: 'new' | 'placing' | 'open' | 'over' = 'new';
  readonly #asks: Ask[] = [];
  #reader: SharedReader | undefined;
  #place = 0;
  #hasBegun = false;
  #undo: (() => void)[] = [];

  /** @throws {InvalidOptionError} if the query has a value it cannot have. */
  constructor(readers: SharedReaders, query: EventQuery) {
    const selection = selectionOf(query);
    const { from } = selection;
    this.#readers = readers;
    this.#parts = readers.parts;
    this.#selection = selection;
    this.#closed = this.#parts.store.closed;
    this.#wasClosed = this.#closed.aborted;
    this.#placing = from === 'now' ? placeNow(this.#parts, selection) : Promise.resolve(from);
    this.#placing.catch(() => {}); // it is thrown to whoever asks for the first event
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

  // For those who read for it.

  get wanted(): Wanted {
    return this.#selection.wanted;
  }

  get reader(): SharedReader | undefined {
    return this.#reader;
  }

  /** The place in the log of its reader that it has come to. */
  get place(): number {
    return this.#place;
  }

  /** Whether it was told something, or has been read for before: then it waits for a store that is away. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The streams that it is told of, as far as they are known. */
  queues(): string[] {
    return streamsOf(this.#selection, this.#parts.queues());
  }

  /** Events of a queue after this id are to be told. */
  placeIn(queue: string): string {
    return this.#told.get(queue)?.id ?? this.#start.start;
  }

  /** Whether there was an event of that id. */
  isAnchored(queue: string): boolean {
    return this.#told.has(queue);
  }

  /** Whether a mark was written into the stream of a queue for it. */
  isMarked(queue: string): boolean {
    return this.#selection.from === 'now' && this.#start.after.has(queue);
  }

  joined(reader: SharedReader, place: number): void {
    this.#reader = reader;
    this.#place = place;
    this.#coveredMs = timeOfId(this.#start.start);
    for (const { id } of this.#told.values()) this.#coveredMs = Math.max(this.#coveredMs, timeOfId(id));
    if (this.#asks.length > 0) this.more();
  }

  /** Is read for by nobody, until it asks again. */
  leave(): void {
    this.#hasBegun = true;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.remove(this);
  }

  /** There may be more in the log of its reader. */
  more(): void {
    if (this.#phase !== 'open') return;
    while (this.#asks.length > 0) {
      if (this.#reader === undefined) {
        this.#readers.place(this); // calls this again
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
      if (this.#wasClosed) this.#parts.store.checkOpen();
      if (this.#closed.aborted) return this.#end();
      for (const each of [signal, this.#closed])
        if (each !== undefined) this.#undo.push(onAbort(each, () => this.#end()));
      this.#start = await this.#placing;
      if (this.#phase !== 'placing') return;
      const { after, start } = this.#start;
      for (const [queue, id] of after) this.#told.set(queue, { id, text: placeText(queue, id) });
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

  /** The next of its events that is in the log of its reader. */
  #take(): AppEvent | undefined {
    const reader = this.#reader;
    if (reader === undefined) return undefined;
    for (let entry = reader.at(this.#place); entry !== undefined; entry = reader.at(this.#place)) {
      this.#place += 1;
      const event = this.#pass(entry);
      if (event === undefined) continue;
      this.#hasBegun = true;
      let position = this.#startText;
      for (const { text } of this.#told.values()) position += text;
      return copied(event, entry.ms, position);
    }
    return undefined;
  }

  /** What an entry tells this one. */
  #pass(entry: LogEntry): Untold | undefined {
    const { queue, id, ms, isGap, event } = entry;
    if (!this.#reads(queue)) return undefined;
    if (ms <= this.#coveredMs && compareIds(id, this.placeIn(queue)) <= 0) return undefined;
    if (!isGap) this.#told.set(queue, entry);
    const isTold = event !== undefined && isWanted(this.#selection.wanted, event);
    if (isGap && !isTold) this.#warnOfGap(entry);
    return isTold ? event : undefined;
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
    this.#parts.warn(
      `events of ${gap.queue} were dropped by the store before they were read; ` +
        "read faster, or list 'gap' among the `types` to be told where.",
    );
  }
}

/** An event that whoever gets it may change, whatever others make of theirs. */
function copied(event: Untold, ms: number, position: string): AppEvent {
  const copy = { ...event, at: new Date(ms), position } as AppEvent; // one of them, with its position
  if (copy.type !== 'progress' || typeof copy.value !== 'object') return copy;
  return { ...copy, value: structuredClone(copy.value) };
}
