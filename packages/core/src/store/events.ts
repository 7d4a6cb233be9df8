/** The events that BullMQ writes for each queue, as a part of every change of a job, read from any place. */
import { type FlowProducerOptions, type IQueueBackend, QueueEvents, type QueueOptions } from 'bullmq';
import { ClosedError } from '../base/errors.js';
import type { StoreOptions } from './access.js';
import { isTransient } from './guards/transient.js';
import { type BackendOptions, connect, endBackend } from './queue-pool.js';
import type { Store } from './store.js';

/** One event as it is stored. */
export interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** What is written where a reader begins, so that a stream has an event to be read after. */
export const MARK = { event: 'umbel:read' };
/** Others trim the streams; those who only read leave them as long as they are. */
const UNTRIMMED = 1_000_000_000;

/** An event is there for every read; so this is waited for only after a stream was emptied. */
const BLOCK_MS = 1000;

/** Writes a mark into the events of a queue. Gives its id, which is the store's time. */
export function markEvents(store: Store, queue: string): Promise<string> {
  return store.on(queue, async (bull) => String(await bull.getBackend().publishEvent(MARK, UNTRIMMED)));
}

/**
 * Reads many streams on one connection of its own, which is opened at the first read. The contract only has a read that
 * waits; one after an event that is not the last does not.
 */
export class EventStreams {
  readonly #options: BackendOptions;
  readonly #queues = new Map<string, IQueueBackend>();
  #base: IQueueBackend | undefined;
  #isClosed = false;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** The events after an id, oldest first; none if a second passes without any. */
  async after(queue: string, id: string): Promise<StreamEntry[]> {
    const streams = await this.#queue(queue).readEvents(id, BLOCK_MS).catch(this.#noted);
    const [, entries = []] = streams?.[0] ?? [];
    return entries.map(([entry, values]) => ({ id: entry, fields: fieldsOf(values) }));
  }

  ready(): Promise<void> {
    return this.#connected().waitUntilReady();
  }

  async close(): Promise<void> {
    const base = this.#base;
    this.#isClosed = true; // what was asked before may come to connect now
    this.#base = undefined;
    this.#queues.clear();
    if (base !== undefined) await endBackend(base, base.close(true));
  }

  readonly #noted = (error: unknown): never => {
    if (isTransient(error)) this.#options.outages.add(error as Error);
    throw error;
  };

  #queue(name: string): IQueueBackend {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = this.#connected().forQueue(name, this.#options.prefix);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #connected(): IQueueBackend {
    if (this.#isClosed) throw new ClosedError('These events are not read any more.');
    if (this.#base === undefined) {
      const { connection, prefix, onError } = this.#options;
      const shared: FlowProducerOptions = { connection: connection.options, prefix };
      // A client that its owner has made goes on without this.
      this.#base = connect(this.#options, '', shared, { blocking: 'duplicate' in connection.options });
      this.#base.on('error', onError);
    }
    return this.#base;
  }
}

/** Fields and their values in turn; another program may have written anything. */
function fieldsOf(values: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < values.length; at += 2) fields.set(String(values[at]), String(values[at + 1]));
  return fields;
}

/** The fields of one event. Anybody may have written them. */
export type EventFields = ReadonlyMap<string, string>;

/** How long one command waits for events. */
const READER_BLOCK_MS = 10_000;
/** Before a store that did not answer is asked again. */
const RETRY_MS = 1000;

/**
 * Reads the events of a queue from a position on, each once, until it is closed. What BullMQ's `QueueEvents` does, but
 * for two things: an event in a strange form is passed over and stops nothing, and with a position of its own nothing
 * is missed between two reads, or while the store is away.
 */
export class EventReader {
  readonly #backend: IQueueBackend;
  readonly #options: BackendOptions;
  #position: string;
  #closing: Promise<void> | undefined;

  /**
   * @param from The id of an event, those after it are read; `$` for those that come from now on.
   * @param take Must not throw.
   */
  constructor(
    queue: string,
    options: BackendOptions,
    from: string,
    take: (fields: EventFields, id: string) => void,
  ) {
    const { connection, prefix, onError } = options;
    this.#options = options;
    this.#position = from;
    const opts: QueueOptions = { connection: connection.options, prefix };
    this.#backend = connect(options, queue, opts, { blocking: true });
    this.#backend.on('error', onError);
    void this.#read(take);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const backend = this.#backend;
    // The first ends the command that waits.
    await endBackend(
      backend,
      backend.disconnect().then(() => backend.close()),
    );
  }

  async #read(take: (fields: EventFields, id: string) => void): Promise<void> {
    while (this.#closing === undefined) {
      try {
        const [stream] = (await this.#backend.readEvents(this.#position, READER_BLOCK_MS)) ?? [];
        for (const [id, fields] of stream?.[1] ?? []) {
          if (this.#closing !== undefined) return;
          this.#position = id;
          take(toFields(fields), id);
        }
      } catch (error) {
        if (this.#closing !== undefined) return;
        if (!isTransient(error)) this.#options.onError(error as Error); // BullMQ and Redis throw no others
        await this.#options.pause(RETRY_MS);
      }
    }
  }
}

function toFields(list: readonly string[]): EventFields {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]), String(list[at + 1]));
  return fields;
}

export type Events = QueueEvents<unknown, IQueueBackend>;

/** After an event that could not be read. */
const AGAIN_MS = 1000;

/**
 * The events of a queue, from now until they are closed. BullMQ stops for good at the first that is not in its form,
 * which any program may have written; here reading goes on, from the latest one.
 */
export function eventsOf(queue: string, options: BackendOptions): Events {
  const { connection, prefix, onError } = options;
  const events: Events = new QueueEvents(
    queue,
    { connection: connection.options, prefix, autorun: false },
    (...args) => connect(options, ...args),
  );
  events.on('error', onError);
  void readOn(events, options);
  return events;
}

async function readOn(events: Events, { onError, pause }: BackendOptions): Promise<void> {
  while (events.closing === undefined) {
    try {
      return await events.run();
    } catch (error) {
      if (events.closing !== undefined) return;
      onError(error as Error); // BullMQ and Redis throw no others
      await pause(AGAIN_MS);
    }
  }
}

/** Tells, for one queue, when a job has ended or reported its progress. One subscription, however many jobs are watched. */
export class Watcher {
  readonly #events: Events;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #below = new Map<() => void, string>();

  constructor(queue: string, options: StoreOptions) {
    this.#events = eventsOf(queue, options);
    this.#events.on('completed', ({ jobId }) => this.#notify(jobId));
    this.#events.on('failed', ({ jobId }) => this.#notify(jobId));
    this.#events.on('progress', ({ jobId }) => this.#notify(jobId));
  }

  /** Calls `listener` when the job ends, once at least; gives a function that stops it. Events may be missed. */
  on(jobId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set();
    this.#listeners.set(jobId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(jobId);
    };
  }

  /** Calls `listener` when a job ends whose id begins with this one; gives a function that stops it. */
  onBelow(id: string, listener: () => void): () => void {
    this.#below.set(listener, `${id}.`);
    return () => this.#below.delete(listener);
  }

  async close(): Promise<void> {
    await endBackend(this.#events.getBackend(), this.#events.close());
  }

  #notify(jobId: string): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener();
    for (const [listener, start] of this.#below) if (jobId.startsWith(start)) listener();
  }
}
