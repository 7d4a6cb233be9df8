/**
 * This module reads the events of an app once for all who follow them. What was read stands in a log, from which each
 * subscription takes its own events at its own pace. The next ones are read when the first of them has nothing left; a
 * subscription that falls behind by more than the log holds leaves it, and is read for by another reader.
 */

import { clearTimeout, setImmediate, setTimeout } from '../base/real-timers.js';
import { CancellableWait, retryAfter } from '../base/wait.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { EventStreams } from '../store/events.js';
import { readJob } from '../store/read.js';
import type { Store, StoreOptions } from '../store/store.js';
import { compareIds, timeOfId } from '../store/stream-position.js';
import { type Merged, placeText } from './event-merge.js';
import { MergedStreamReader } from './event-stream.js';
import { SharedWants, type Subscription } from './event-subscription.js';
import { EventTranslator, type Untranslated } from './event-translator.js';
import type { AppEvent } from './events.js';

/** Between two looks at streams that cannot be waited for: soon after there was something, and ever later. */
const PAUSE_MS = { first: 2, max: 200 };
/** How long one command waits for events. */
const WAIT_MS = 10_000;
/** After the store could not be reached. */
const OUTAGE_PAUSE_MS = 250;
/** Events that are told before more is known of the next ones. */
const SLICE = 250;
/** What a log holds: events, and characters of what handlers have reported. */
const LOG = { events: 5000, characters: 16_000_000 };

const NO_TIME = new Date(0);

export interface EventReaderDependencies {
  readonly store: Store;
  readonly options: StoreOptions;
  /** The queues of tasks that the app knows by now. */
  readonly queues: () => readonly string[];
  /** Calls `listener` whenever there are more of them. Returns a function that stops it. */
  readonly onQueue: (listener: () => void) => () => void;
  readonly warn: (message: string) => void;
}

/** One event of the store in the order of all of them. */
export interface LogEntry {
  readonly queue: string;
  readonly id: string;
  readonly ms: number;
  /** The same in a position. */
  readonly text: string;
  readonly isGap: boolean;
  /** The gap was logged, for one who is not told of it. */
  isWarned: boolean;
  /** What it tells, without its time and position; undefined if nobody wants that. */
  readonly event: AppEvent | undefined;
  readonly characters: number;
}

export class SharedReader {
  readonly #dependencies: EventReaderDependencies;
  readonly #readers: SharedReaders;
  readonly #streams: MergedStreamReader;
  readonly #wants = new SharedWants();
  readonly #translator: EventTranslator;
  readonly #ending = new CancellableWait();
  readonly #subscriptions = new Set<Subscription>();
  /** Those who are about to come, and for whom their streams are read already. */
  readonly #expected = new Set<Subscription>();
  /** Those who have asked for an event that is not there yet. */
  readonly #waiting = new Set<Subscription>();
  #entries: LogEntry[] = [];
  /** The place of the first of them; each has the next one. */
  #start = 0;
  #characters = 0;
  /** Of each stream, the id after which all events are in the log, or come into it, in order. */
  readonly #floors = new Map<string, string>();
  /** Number of events that are being translated. */
  #translating = 0;
  /** The streams are not those that are wanted any more. */
  #isChanged = false;
  /** While the store is waited for. */
  #isBlocked = false;
  #own: EventStreams | undefined;
  #wake: (() => void) | undefined;
  readonly #uncall: () => void;

  /** Nobody else joins it, and it joins no other one. */
  readonly isAlone: boolean;
  #isConnected = false;

  /** Reads from where its first subscription stands. */
  constructor(
    dependencies: EventReaderDependencies,
    readers: SharedReaders,
    first: Subscription,
    { isAlone, isLive }: { readonly isAlone: boolean; readonly isLive: boolean },
  ) {
    this.#dependencies = dependencies;
    this.#readers = readers;
    this.isAlone = isAlone;
    if (isLive) this.beLive();
    this.#streams = new MergedStreamReader(dependencies.store);
    const { sealer } = dependencies.options;
    const job = (queue: string, id: string) => readJob(dependencies.store, { queue, id });
    this.#translator = new EventTranslator({ job, sealer, wants: this.#wants });
    for (const queue of first.queues()) {
      const after = first.placeIn(queue);
      this.#floors.set(queue, after);
      this.#streams.add({
        queue,
        after,
        isAnchored: first.isAnchored(queue),
        isMarked: first.isMarked(queue),
      });
    }
    this.#wants.add(first.filter, 0);
    this.add(first, 0);
    this.#uncall = dependencies.onQueue(() => this.#change());
    void this.#run(first.hasBegun);
  }

  /** Whether it may wait for events on a connection of its own. There is one such reader, where the others go. */
  get isLive(): boolean {
    return this.#own !== undefined;
  }

  get isOver(): boolean {
    return this.#ending.isOver;
  }

  /** The place after the last entry of the log. */
  get end(): number {
    return this.#start + this.#entries.length;
  }

  at(place: number): LogEntry | undefined {
    return this.#entries[place - this.#start];
  }

  beLive(): void {
    this.#own = new EventStreams(this.#dependencies.options);
  }

  /**
   * The place in the log from which on a subscription misses nothing and is told everything in order; undefined if there
   * is none, or it would soon be left behind.
   */
  placeFor(subscription: Subscription): number | undefined {
    if (this.isAlone || this.isOver) return undefined;
    const queues = new Set(subscription.queues());
    for (const queue of queues) {
      const floor = this.#floors.get(queue);
      if (floor === undefined || compareIds(subscription.placeIn(queue), floor) < 0) return undefined;
    }
    const isAhead = ({ queue, id }: LogEntry) =>
      queues.has(queue) && compareIds(id, subscription.placeIn(queue)) > 0;
    const index = this.#entries.findIndex(isAhead);
    const place = index === -1 ? this.end : this.#start + index;
    if (this.end - place > LOG.events / 2 || place < this.#wants.since(subscription.filter)) return undefined;
    return place;
  }

  /** Lets a subscription take from the log, from a place on. */
  add(subscription: Subscription, place: number): void {
    this.#expected.delete(subscription);
    this.#subscriptions.add(subscription);
    this.#wants.add(subscription.filter, place);
    subscription.joined(this, place);
  }

  /** Reads for a subscription that is to come, so that it can. */
  expect(subscription: Subscription): void {
    if (this.#expected.has(subscription) || this.isOver) return;
    this.#expected.add(subscription);
    this.#wants.add(subscription.filter, this.end + this.#translating);
    this.#change();
  }

  /** Ends the reader, if nobody else has it. */
  remove(subscription: Subscription): void {
    const isKnown = this.#subscriptions.delete(subscription) || this.#expected.delete(subscription);
    if (!isKnown) return;
    this.#waiting.delete(subscription);
    this.#wants.delete(subscription.filter);
    this.#isChanged = true;
    if (this.#subscriptions.size === 0) this.#close();
  }

  /** Calls the subscription once there is more than it has taken. */
  wait(subscription: Subscription): void {
    this.#waiting.add(subscription);
    this.#wake?.();
  }

  /** Those who have taken all that there is. */
  get waiting(): readonly Subscription[] {
    return [...this.#waiting];
  }

  #close(): void {
    if (this.isOver) return;
    this.#uncall();
    this.#ending.with(new Error('No subscription reads these events any more.'));
    this.#own?.close().catch(() => {});
    this.#readers.ended(this);
  }

  get #input(): EventStreams {
    return this.#own ?? this.#readers.input(this);
  }

  async #run(isPatient: boolean): Promise<void> {
    try {
      await this.#connect(isPatient);
      this.#isConnected = true;
      for (let pauseMs = PAUSE_MS.first; !this.isOver; ) {
        await this.#demanded();
        const merged = await this.#round();
        for (let at = 0; at < merged.length; at += SLICE) {
          if (at > 0) await this.#demanded();
          await this.#append(merged.slice(at, at + SLICE));
        }
        this.#readers.settle(this);
        const { isQuiet } = this.#streams;
        if (isQuiet && this.isLive && (await this.#waited())) continue;
        pauseMs = isQuiet && merged.length === 0 ? Math.min(pauseMs * 2, PAUSE_MS.max) : PAUSE_MS.first;
        await this.#pause(pauseMs);
      }
    } catch (error) {
      if (!this.isOver) this.#fail(error);
    }
  }

  /** The store has refused something for good: each is read for on its own, since it may be of one's streams only. */
  #fail(error: unknown): void {
    const all = [...this.#subscriptions];
    for (const subscription of all) {
      const isOwn = all.length === 1 || !(this.#isConnected || subscription.hasBegun);
      if (isOwn) subscription.failed(error);
      else this.#readers.separate(subscription);
    }
    this.#close();
  }

  /** @throws {ConnectionError} if the store cannot be reached, and nobody was told anything yet. */
  async #connect(isPatient: boolean): Promise<void> {
    const { store } = this.#dependencies;
    const connect = () => store.on(CONTROL_QUEUE, () => this.#input.ready());
    await (isPatient ? this.#patiently(connect) : this.#ending.race(connect()));
  }

  /** Resolves once somebody has asked for more than there is. */
  async #demanded(): Promise<void> {
    if (this.#waiting.size > 0) return;
    await this.#ending.race(
      new Promise<void>((resolve) => {
        this.#wake = resolve;
      }),
    );
    this.#wake = undefined;
  }

  /** Reads what is new in all streams, and takes out what nothing can come before any more. */
  async #round(): Promise<Merged[]> {
    try {
      if (this.#isChanged) await this.#ending.race(this.#followSubscriptions());
      return await this.#ending.race(this.#streams.read(this.#input));
    } catch (error) {
      if (!this.#dependencies.store.isOutage(error)) throw error;
      await this.#pause(OUTAGE_PAUSE_MS);
      return []; // what is told next may be overtaken by what could not be read
    }
  }

  /** Reads streams that have become wanted, and no longer those that nobody wants. */
  async #followSubscriptions(): Promise<void> {
    this.#isChanged = false;
    /** By the place after which each is wanted; undefined: as it is now. */
    const starts = new Map<string, { after: string; isAnchored: boolean } | undefined>();
    for (const subscription of this.#expected)
      for (const queue of subscription.queues()) starts.set(queue, undefined);
    for (const subscription of this.#subscriptions) {
      for (const queue of subscription.queues()) {
        if (this.#floors.has(queue)) {
          starts.set(queue, undefined);
          continue;
        }
        const after = subscription.placeIn(queue);
        const earlier = starts.get(queue);
        if (earlier !== undefined && compareIds(earlier.after, after) <= 0) continue;
        starts.set(queue, { after, isAnchored: subscription.isAnchored(queue) });
      }
    }
    for (const queue of this.#streams.queues) {
      if (starts.has(queue)) continue;
      this.#streams.drop(queue);
      this.#floors.delete(queue);
    }
    try {
      for (const [queue, from] of starts) {
        if (this.#floors.has(queue)) continue;
        const id = await this.#streams.mark(queue);
        const { after, isAnchored } = from ?? { after: id, isAnchored: true };
        this.#streams.add({ queue, after, isAnchored, isMarked: true });
        // What comes before the mark is late for those who are here.
        this.#floors.set(queue, this.#streams.hasBegun ? id : after);
      }
    } catch (error) {
      this.#isChanged = true;
      throw error;
    }
  }

  async #append(merged: readonly Merged[]): Promise<void> {
    this.#translating = merged.length;
    const returned = await this.#patiently(() => this.#translator.tell(merged));
    this.#translating = 0;
    for (const [index, { queue, entry }] of merged.entries()) {
      const event = returned[index];
      const characters = event?.type === 'progress' ? (entry.fields.get('data')?.length ?? 0) : 0;
      const { id, isGap = false } = entry;
      this.#entries.push({
        ...{ queue, id, ms: timeOfId(id), text: placeText(queue, id), isGap, isWarned: false },
        ...{ event: event && withPlace(event), characters },
      });
      this.#characters += characters;
    }
    for (const subscription of this.waiting) subscription.more();
    this.#trim();
    // Whoever takes one event after the other has them now; whoever needs a turn of the process has begun.
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Drops what is too much, whoever has not taken it. */
  #trim(): void {
    let count = Math.max(0, this.#entries.length - LOG.events);
    for (let at = 0; at < this.#entries.length; at += 1) {
      if (at >= count && this.#characters <= LOG.characters) break;
      this.#characters -= this.#entries[at]?.characters ?? 0;
      count = at + 1;
    }
    if (count === 0) return;
    for (const { queue, id } of this.#entries.splice(0, count))
      if (this.#floors.has(queue)) this.#floors.set(queue, id);
    this.#start += count;
    for (const subscription of [...this.#subscriptions])
      if (subscription.place < this.#start) subscription.leave();
  }

  /** Waits until the store has more; false if it cannot be waited for. */
  async #waited(): Promise<boolean> {
    if (this.#isChanged) return true;
    this.#isBlocked = true;
    try {
      return await this.#ending.race(this.#streams.wait(this.#input, WAIT_MS));
    } catch (error) {
      if (!this.#dependencies.store.isOutage(error)) throw error;
      await this.#pause(OUTAGE_PAUSE_MS);
      return true;
    } finally {
      this.#isBlocked = false;
    }
  }

  /** Other streams are wanted. A mark ends the wait for those that are read now. */
  #change(): void {
    this.#isChanged = true;
    const [queue] = this.#streams.queues;
    if (!this.#isBlocked || queue === undefined) return;
    this.#isBlocked = false;
    this.#streams.mark(queue).catch(() => {}); // the wait ends by itself
  }

  /** Returns the answer of `ask`, which is retried until the store can be reached. */
  #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const command = () => this.#ending.race(ask());
    const check = (error: unknown) => {
      if (!this.#dependencies.store.isOutage(error)) throw error;
    };
    const loop = { firstMs: OUTAGE_PAUSE_MS, maxMs: OUTAGE_PAUSE_MS, check };
    const pause = (ms: number) => this.#pause(ms);
    return command().catch((first: unknown) => retryAfter(first, command, { ...loop, pause }));
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
}

/** Gives an event the fields that each subscription sets in its copy. */
function withPlace(event: Untranslated): AppEvent {
  return { ...event, at: NO_TIME, position: '' } as AppEvent; // one of them, with all its fields
}

// This module finds a reader for each subscription. All who are up to date share one, which waits for events on a
// connection of its own; those who are further behind are read for by others, on one connection for all of these, until
// they have caught up.

export class SharedReaders {
  readonly #dependencies: EventReaderDependencies;
  readonly #readers = new Set<SharedReader>();
  /** Who reads on the connection of those that do not wait. */
  readonly #behind = new Set<SharedReader>();
  #input: EventStreams | undefined;

  constructor(dependencies: EventReaderDependencies) {
    this.#dependencies = dependencies;
  }

  get dependencies(): EventReaderDependencies {
    return this.#dependencies;
  }

  /** Lets a subscription take from the log of a reader that has what it needs next, or from one of its own. */
  place(subscription: Subscription): void {
    for (const reader of this.#readers) {
      const place = reader.placeFor(subscription);
      if (place !== undefined) {
        reader.add(subscription, place);
        return;
      }
    }
    this.#open(subscription, false);
    const live = this.#live;
    if (live !== subscription.reader) live?.expect(subscription);
  }

  /** Lets a subscription be read for by itself, for good. */
  separate(subscription: Subscription): void {
    subscription.leave();
    this.#open(subscription, true);
  }

  /** After a round: whoever has taken all goes to the reader that waits for more, or this one is that from now on. */
  settle(reader: SharedReader): void {
    if (reader.isLive || reader.isAlone || reader.isOver) return;
    const live = this.#live;
    if (live === undefined) {
      this.#behind.delete(reader);
      this.#endInput();
      reader.beLive();
      return;
    }
    for (const subscription of reader.waiting) {
      const place = live.placeFor(subscription);
      if (place === undefined) {
        live.expect(subscription);
        continue;
      }
      subscription.leave();
      live.add(subscription, place);
    }
  }

  /** The connection of a reader that does not wait. */
  input(reader: SharedReader): EventStreams {
    this.#behind.add(reader);
    this.#input ??= new EventStreams(this.#dependencies.options);
    return this.#input;
  }

  ended(reader: SharedReader): void {
    this.#readers.delete(reader);
    this.#behind.delete(reader);
    this.#endInput();
  }

  /** A subscription is over. */
  forget(subscription: Subscription): void {
    for (const reader of [...this.#readers]) reader.remove(subscription);
  }

  get #live(): SharedReader | undefined {
    for (const reader of this.#readers) if (reader.isLive) return reader;
    return undefined;
  }

  #open(subscription: Subscription, isAlone: boolean): void {
    const isLive = !isAlone && this.#live === undefined;
    const reader = new SharedReader(this.#dependencies, this, subscription, { isAlone, isLive });
    this.#readers.add(reader);
  }

  #endInput(): void {
    if (this.#behind.size > 0) return;
    this.#input?.close().catch(() => {});
    this.#input = undefined;
  }
}
