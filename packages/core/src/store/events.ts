/** This module reads the events that BullMQ writes for each change of a job, from any position. */
import type { EntryRaw, FlowProducerOptions, IQueueBackend, QueueOptions } from 'bullmq';
import { ClosedError, ConnectionError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { MARK } from './engine/commands.js';
import { driverOf, isTransient } from './engine/drivers.js';
import { endNoticesIn, type StreamPlace, type StreamsPrimitive, streamsIn } from './primitives/streams.js';
import { type BackendOptions, connect, endBackend } from './queue-pool.js';
import type { Store } from './store.js';

export type { StreamPlace };

/** One stored event. */
export interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** Maximum length for writes by readers: they must not trim the stream. */
export const UNTRIMMED = 1_000_000_000;

/** Wait of a read. Each read has an event to return, so it waits only after a stream was emptied. */
const BLOCK_MS = 1000;
/** Time after which a silent connection is replaced: ioredis may keep a command forever. */
const ANSWER_MS = 2000;

/** Writes a mark into the events of a queue. Returns its id, which contains the store's time. */
export function markEvents(store: Store, queue: string): Promise<string> {
  return store.on(queue, async (bull) => String(await bull.getBackend().publishEvent(MARK, UNTRIMMED)));
}

/** A connection that is opened at first use, and again after it was lost. */
interface Connected {
  readonly backend: IQueueBackend;
  readonly streams: StreamsPrimitive | undefined;
  readonly queues: Map<string, IQueueBackend>;
}

/** Reads many streams on one separate connection. */
export class EventStreams {
  readonly #options: BackendOptions;
  #connected: Connected | undefined;
  #isClosed = false;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Returns the events after each position, oldest first, at most `limit` of each if the store supports limits. */
  async read(places: readonly StreamPlace[], limit: number): Promise<StreamEntry[][]> {
    if (places.length === 0) return [];
    const { streams } = this.#connect();
    const answer: Promise<readonly (readonly EntryRaw[])[]> =
      streams === undefined
        ? Promise.all(places.map((place) => this.#readOne(place)))
        : streams.readStreams(places, limit);
    const entries = await this.#answered(ANSWER_MS, answer);
    return entries.map((list) => list.map(([id, values]) => ({ id, fields: fieldsOf(values) })));
  }

  /**
   * Resolves with true once there is an event after one of the positions, or after `ms`. Resolves with false at once for a
   * store that cannot wait for many streams. The connection is blocked in the meantime.
   */
  async wait(places: readonly StreamPlace[], ms: number): Promise<boolean> {
    const { streams } = this.#connect();
    if (streams === undefined || places.length === 0) return false;
    await this.#answered(ms + ANSWER_MS, streams.readStreams(places, 1, ms));
    return true;
  }

  ready(): Promise<void> {
    return this.#connect().backend.waitUntilReady();
  }

  async close(): Promise<void> {
    this.#isClosed = true; // an earlier call may still be about to connect
    await this.#disconnect();
  }

  /** Reads one queue. BullMQ's contract has only a blocking read; it returns at once if a later event exists. */
  async #readOne({ queue, after }: StreamPlace): Promise<readonly EntryRaw[]> {
    const { backend, queues } = this.#connect();
    let bull = queues.get(queue);
    if (bull === undefined) {
      bull = backend.forQueue(queue, this.#options.prefix);
      queues.set(queue, bull);
    }
    const [stream] = (await bull.readEvents(after, BLOCK_MS)) ?? [];
    return stream?.[1] ?? [];
  }

  /** Returns the answer. @throws {ConnectionError} if there is none in time. */
  async #answered<T>(ms: number, answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      if (!this.#options.connection.mayStaySilent) return await answer;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(this.#silent()), ms);
      });
      return await Promise.race([answer, late]);
    } catch (error) {
      if (isTransient(error)) this.#options.outages.add(error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #silent(): ConnectionError {
    void this.#disconnect();
    const error = new ConnectionError('The store did not answer a read of its events.');
    this.#options.outages.add(error);
    return error;
  }

  async #disconnect(): Promise<void> {
    const backend = this.#connected?.backend;
    this.#connected = undefined;
    if (backend !== undefined) await endBackend(backend, backend.close(true));
  }

  #connect(): Connected {
    if (this.#isClosed) throw new ClosedError('This event reader was closed: open another one.');
    if (this.#connected === undefined) {
      const { connection, prefix, onError } = this.#options;
      const shared: FlowProducerOptions = { connection: connection.options, prefix };
      // `blocking` does not apply to a client that the user has created.
      const backend = connect(this.#options, '', shared, { blocking: connection.isClient });
      backend.on('error', onError);
      this.#connected = { backend, streams: streamsIn(backend), queues: new Map() };
    }
    return this.#connected;
  }
}

/** Returns the fields of an event from alternating names and values, which any program may have written. */
function fieldsOf(values: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < values.length; at += 2) fields.set(String(values[at]), String(values[at + 1]));
  return fields;
}

// Readers of the events of one queue. They differ from BullMQ's `QueueEvents` in two ways: a malformed event is skipped
// and stops nothing, and an explicit position ensures that no event is missed between two reads or during an outage.

/** A stored event: its id, and alternating names and values of its fields, which any program may have written. */
export type StoredEvent = readonly [id: string, fields: readonly string[]];

/** The fields of one event. */
export type EventFields = ReadonlyMap<string, string>;

/** Receiver of the events of a stream. */
export interface EventTaker {
  /** How long one command waits for events. */
  readonly blockMs: number;
  /** Suffix of the name of the connection in the store. */
  readonly suffix?: string;
  /** Returns the id of the event after which to read next; `$` for future events only. */
  position(): string | Promise<string>;
  /** Receives the events in order. Must not throw. */
  take(events: readonly StoredEvent[]): void;
  /** Called when the connection broke or a read failed. The read is retried. */
  broken?(): void;
  /**
   * Called with the ids of jobs that have ended, before their events, if the store tells. Returns whether the events are to
   * be read at once.
   */
  ended?(ids: readonly string[]): boolean;
}

/** Pause before a failed read is retried. */
const RETRY_MS = 1000;
/** Time after the expected end of a read at which it counts as late. */
const LATE_MS = 1500;

/** Reads the events of a queue for a taker, which provides the position. */
export class StreamReader {
  readonly #backend: IQueueBackend;
  readonly #options: BackendOptions;
  readonly #taker: EventTaker;
  /** Start of the pending read, in the time of `performance.now()`. */
  #readingSince: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(queue: string, options: BackendOptions, taker: EventTaker) {
    const { connection, prefix, onError } = options;
    this.#options = options;
    this.#taker = taker;
    const opts: QueueOptions = { connection: connection.options, prefix };
    this.#backend = connect(options, queue, opts, { blocking: true });
    this.#backend.on('error', onError);
    this.#backend.on('close', () => taker.broken?.());
    if (taker.ended !== undefined)
      endNoticesIn(this.#backend)?.noticeEnds((ids) => taker.ended?.(ids) === true);
    void this.#read();
  }

  /** Whether the store has not answered for longer than a read should take. */
  get isDeaf(): boolean {
    const since = this.#readingSince;
    return since !== undefined && performance.now() - since > this.#taker.blockMs + LATE_MS;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const backend = this.#backend;
    driverOf(backend)?.stayClosed(backend);
    // `disconnect` ends the blocking read.
    await endBackend(
      backend,
      backend.disconnect().then(() => backend.close()),
    );
  }

  async #read(): Promise<void> {
    const { blockMs, suffix } = this.#taker;
    if (suffix !== undefined) this.#backend.setName(this.#backend.clientName(suffix)).catch(() => {}); // only for display
    while (this.#closing === undefined) {
      try {
        const from = await this.#taker.position();
        if (this.#closing !== undefined) return;
        this.#readingSince = performance.now();
        const [stream] = (await this.#backend.readEvents(from, blockMs)) ?? [];
        this.#readingSince = undefined;
        if (this.#closing !== undefined) return;
        if (stream !== undefined) this.#taker.take(stream[1]);
      } catch (error) {
        if (this.#closing !== undefined) return;
        this.#taker.broken?.();
        if (!isTransient(error)) this.#options.onError(error as Error); // stores throw only errors
        await this.#options.pause(RETRY_MS);
      }
    }
  }
}

/** Blocking time of a read of an `EventReader`. */
const READER_BLOCK_MS = 10_000;

/** Reads every event from one position on. */
export class EventReader extends StreamReader {
  /** @param take Must not throw. */
  constructor(
    queue: string,
    options: BackendOptions,
    from: string,
    take: (fields: EventFields, id: string) => void,
  ) {
    let position = from;
    super(queue, options, {
      blockMs: READER_BLOCK_MS,
      position: () => position,
      take: (events) => {
        for (const [id, fields] of events) {
          position = id;
          take(fieldsOf(fields), id);
        }
      },
    });
  }
}
