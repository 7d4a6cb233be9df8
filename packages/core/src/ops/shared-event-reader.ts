/**
 * This module reads the events of an app once for all subscriptions. A reader keeps them in a log, from which each
 * subscription takes its events at its own pace. It reads on when the first subscription has nothing left. A subscription
 * that is further behind than the log reaches moves to another reader.
 */

import { clearTimeout, setImmediate, setTimeout } from '../base/real-timers.js';
import { CancellableWait, retryAfter } from '../base/wait.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { EventStreams } from '../store/events.js';
import { readJob } from '../store/read.js';
import type { Store, StoreOptions } from '../store/store.js';
import { compareIds, timeOfId } from '../store/stream-position.js';
import { type Merged, MergedStreamReader, placeText } from './event-merge.js';
import { SharedInterests, type Subscription } from './event-subscription.js';
import { EventTranslator, type Untranslated } from './event-translator.js';
import type { AppEvent } from './events.js';

/** Pause between two reads of streams without a blocking read: short after events, then growing. */
const PAUSE_MS = { first: 2, max: 200 };
/** Time for which one command waits for events. */
const WAIT_MS = 10_000;
/** Pause after the store could not be reached. */
const OUTAGE_PAUSE_MS = 250;
/** Number of events that are translated together. */
const SLICE = 250;
/** Size of a log: events, and characters of reported values. */
const LOG = { events: 5000, characters: 16_000_000 };

const NO_TIME = new Date(0);

export interface EventReaderDependencies {
  readonly store: Store;
  readonly options: StoreOptions;
  /** Returns the queues of tasks that the app knows now. */
  readonly queues: () => readonly string[];
  /** Calls `listener` whenever there are more queues. Returns a function that stops it. */
  readonly onQueue: (listener: () => void) => () => void;
  readonly warn: (message: string) => void;
}

/** A stored event in the common order. */
export interface LogEntry {
  readonly queue: string;
  readonly id: string;
  readonly ms: number;
  /** Its part of a position. */
  readonly text: string;
  readonly isGap: boolean;
  /** Whether the gap was logged for a subscription that does not yield gaps. */
  isWarned: boolean;
  /** The event of the app, without its time and position; undefined if no subscription needs it. */
  readonly event: AppEvent | undefined;
  readonly characters: number;
}

export class SharedReader {
  readonly #dependencies: EventReaderDependencies;
  readonly #readers: SharedReaders;
  readonly #streams: MergedStreamReader;
  readonly #interests = new SharedInterests();
  readonly #translator: EventTranslator;
  readonly #ending = new CancellableWait();
  readonly #subscriptions = new Set<Subscription>();
  /** Subscriptions that will join once their streams are read. */
  readonly #expected = new Set<Subscription>();
  /** Subscriptions with a pending call. */
  readonly #waiting = new Set<Subscription>();
  #entries: LogEntry[] = [];
  /** The position of the first entry; each entry has the next position. */
  #start = 0;
  #characters = 0;
  /** The id in each stream after which every event is or will be in the log, in order. */
  readonly #floors = new Map<string, string>();
  /** Number of events that are being translated. */
  #translating = 0;
  /** Whether the selected streams have changed. */
  #isChanged = false;
  /** Whether it waits in the store. */
  #isBlocked = false;
  #own: EventStreams | undefined;
  #wake: (() => void) | undefined;
  readonly #uncall: () => void;

  /** Whether it serves one subscription only, for good. */
  readonly isAlone: boolean;
  #isConnected = false;

  /** Reads from the position of its first subscription on. */
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
    this.#translator = new EventTranslator({ job, sealer, interests: this.#interests });
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
    this.#interests.add(first.filter, 0);
    this.add(first, 0);
    this.#uncall = dependencies.onQueue(() => this.#change());
    void this.#run(first.hasBegun);
  }

  /** Whether it waits for new events on its own connection. There is one such reader, which up-to-date subscriptions join. */
  get isLive(): boolean {
    return this.#own !== undefined;
  }

  get isOver(): boolean {
    return this.#ending.isOver;
  }

  /** The position after the last entry of the log. */
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
   * Returns the position in the log from which a subscription misses no event; undefined if there is none, or if the log
   * would soon drop it.
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
    if (this.end - place > LOG.events / 2 || place < this.#interests.since(subscription.filter))
      return undefined;
    return place;
  }

  /** Adds a subscription, which takes entries from a position on. */
  add(subscription: Subscription, place: number): void {
    this.#expected.delete(subscription);
    this.#subscriptions.add(subscription);
    this.#interests.add(subscription.filter, place);
    subscription.joined(this, place);
  }

  /** Reads the streams of a subscription that wants to join. */
  expect(subscription: Subscription): void {
    if (this.#expected.has(subscription) || this.isOver) return;
    this.#expected.add(subscription);
    this.#interests.add(subscription.filter, this.end + this.#translating);
    this.#change();
  }

  /** Removes a subscription, and ends the reader after the last one. */
  remove(subscription: Subscription): void {
    const isKnown = this.#subscriptions.delete(subscription) || this.#expected.delete(subscription);
    if (!isKnown) return;
    this.#waiting.delete(subscription);
    this.#interests.delete(subscription.filter);
    this.#isChanged = true;
    if (this.#subscriptions.size === 0) this.#close();
  }

  /** Wakes the subscription once there is an entry after its position. */
  wait(subscription: Subscription): void {
    this.#waiting.add(subscription);
    this.#wake?.();
  }

  /** Returns the subscriptions that have taken every entry. */
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

  /** After a permanent error each subscription gets its own reader, because the error may concern the streams of one only. */
  #fail(error: unknown): void {
    const all = [...this.#subscriptions];
    for (const subscription of all) {
      const isOwn = all.length === 1 || !(this.#isConnected || subscription.hasBegun);
      if (isOwn) subscription.failed(error);
      else this.#readers.separate(subscription);
    }
    this.#close();
  }

  /** @throws {ConnectionError} if the store cannot be reached before the first event. */
  async #connect(isPatient: boolean): Promise<void> {
    const { store } = this.#dependencies;
    const connect = () => store.on(CONTROL_QUEUE, () => this.#input.ready());
    await (isPatient ? this.#patiently(connect) : this.#ending.race(connect()));
  }

  /** Resolves once a subscription needs more than the log has. */
  async #demanded(): Promise<void> {
    if (this.#waiting.size > 0) return;
    await this.#ending.race(
      new Promise<void>((resolve) => {
        this.#wake = resolve;
      }),
    );
    this.#wake = undefined;
  }

  /** Reads new events of all streams, and takes those that no earlier event can precede any more. */
  async #round(): Promise<Merged[]> {
    try {
      if (this.#isChanged) await this.#ending.race(this.#followSubscriptions());
      return await this.#ending.race(this.#streams.read(this.#input));
    } catch (error) {
      if (!this.#dependencies.store.isOutage(error)) throw error;
      await this.#pause(OUTAGE_PAUSE_MS);
      return []; // an event that could not be read may come first
    }
  }

  /** Adds newly selected streams, and removes those that no subscription needs. */
  async #followSubscriptions(): Promise<void> {
    this.#isChanged = false;
    /** Streams by the id after which each is needed; undefined: from now on. */
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
        // Events before the mark are late for the current subscriptions.
        this.#floors.set(queue, this.#streams.hasBegun ? id : after);
      }
    } catch (error) {
      this.#isChanged = true;
      throw error;
    }
  }

  async #append(merged: readonly Merged[]): Promise<void> {
    this.#translating = merged.length;
    const returned = await this.#patiently(() => this.#translator.translate(merged));
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
    // Subscriptions that read continuously have taken these entries by now.
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Drops the oldest entries beyond the size of the log, also if a subscription has not taken them. */
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

  /** Waits until the store has more events; false if the store has no blocking read. */
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

  /** Called when other streams are selected. A mark ends the current wait. */
  #change(): void {
    this.#isChanged = true;
    const [queue] = this.#streams.queues;
    if (!this.#isBlocked || queue === undefined) return;
    this.#isBlocked = false;
    this.#streams.mark(queue).catch(() => {}); // the wait ends anyway
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

/** Adds the fields that each subscription sets in its copy. */
function withPlace(event: Untranslated): AppEvent {
  return { ...event, at: NO_TIME, position: '' } as AppEvent; // an event of the app, with all its fields
}

// The readers of an app. Subscriptions that are up to date share one reader, which waits for events on its own connection.
// Others have readers on a second, common connection until they have caught up.

export class SharedReaders {
  readonly #dependencies: EventReaderDependencies;
  readonly #readers = new Set<SharedReader>();
  /** Readers on the connection without waits. */
  readonly #behind = new Set<SharedReader>();
  #input: EventStreams | undefined;

  constructor(dependencies: EventReaderDependencies) {
    this.#dependencies = dependencies;
  }

  get dependencies(): EventReaderDependencies {
    return this.#dependencies;
  }

  /** Assigns a subscription to a reader whose log has its next events, or to a new reader. */
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

  /** Gives a subscription its own reader, for good. */
  separate(subscription: Subscription): void {
    subscription.leave();
    this.#open(subscription, true);
  }

  /** After a round: moves up-to-date subscriptions to the waiting reader, or makes this reader the waiting one. */
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

  /** Returns the connection of readers that do not wait. */
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

  /** Called when a subscription ends. */
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
