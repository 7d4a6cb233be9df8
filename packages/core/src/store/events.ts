/** The events that BullMQ writes for each queue, as a part of every change of a job, read from any place. */
import {
  type EntryRaw,
  type FlowProducerOptions,
  type IQueueBackend,
  type QueueOptions,
  RedisQueueBackend,
} from 'bullmq';
import { ClosedError, ConnectionError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { isRedis } from './connection.js';
import { isTransient } from './guards/transient.js';
import { type StreamPlace, type StreamsPrimitive, streamsIn } from './primitives/streams.js';
import { type BackendOptions, connect, endBackend } from './queue-pool.js';
import type { Store } from './store.js';

export type { StreamPlace };

/** One event as it is stored. */
export interface StreamEntry {
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** What is written where a reader begins, so that a stream has an event to be read after. */
export const MARK = { event: 'umbel:read' };
/** Others trim the streams; those who only read leave them as long as they are. */
export const UNTRIMMED = 1_000_000_000;

/** An event is there for every read; so this is waited for only after a stream was emptied. */
const BLOCK_MS = 1000;
/** After this a connection that gives no answer is replaced: ioredis may keep a command for ever. */
const ANSWER_MS = 2000;

/** Writes a mark into the events of a queue. Returns its id, which is the store's time. */
export function markEvents(store: Store, queue: string): Promise<string> {
  return store.on(queue, async (bull) => String(await bull.getBackend().publishEvent(MARK, UNTRIMMED)));
}

/** One connection, which is opened at its first use, and anew after it was lost. */
interface Connected {
  readonly backend: IQueueBackend;
  readonly streams: StreamsPrimitive | undefined;
  readonly queues: Map<string, IQueueBackend>;
}

/** Reads many streams on one connection of its own. */
export class EventStreams {
  readonly #options: BackendOptions;
  #connected: Connected | undefined;
  #isClosed = false;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** The events after each place, oldest first, at most `limit` of each where the store can limit them. */
  async read(places: readonly StreamPlace[], limit: number): Promise<StreamEntry[][]> {
    if (places.length === 0) return [];
    const { streams } = this.#connect();
    const answer: Promise<readonly (readonly EntryRaw[])[]> =
      streams === undefined
        ? Promise.all(places.map((place) => this.#readAlone(place)))
        : streams.readStreams(places, limit);
    const entries = await this.#answered(ANSWER_MS, answer);
    return entries.map((list) => list.map(([id, values]) => ({ id, fields: fieldsOf(values) })));
  }

  /**
   * Resolves with true once there is an event after one of the places, and after a time at the latest; with false at once
   * for a store that cannot wait for many streams. Nothing else can be asked on this connection meanwhile.
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
    this.#isClosed = true; // what was asked before may come to connect now
    await this.#disconnect();
  }

  /** The contract only has a read that waits; one after an event that is not the last does not. */
  async #readAlone({ queue, after }: StreamPlace): Promise<readonly EntryRaw[]> {
    const { backend, queues } = this.#connect();
    let own = queues.get(queue);
    if (own === undefined) {
      own = backend.forQueue(queue, this.#options.prefix);
      queues.set(queue, own);
    }
    const [stream] = (await own.readEvents(after, BLOCK_MS)) ?? [];
    return stream?.[1] ?? [];
  }

  /** The answer. @throws {ConnectionError} if none comes in time. */
  async #answered<T>(ms: number, answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      if (!isRedis(this.#options.connection)) return await answer;
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
      // A client that its owner has made goes on without this.
      const backend = connect(this.#options, '', shared, { blocking: 'duplicate' in connection.options });
      backend.on('error', onError);
      this.#connected = { backend, streams: streamsIn(backend, prefix), queues: new Map() };
    }
    return this.#connected;
  }
}

/** Fields and their values in turn; another program may have written anything. */
function fieldsOf(values: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < values.length; at += 2) fields.set(String(values[at]), String(values[at + 1]));
  return fields;
}

// Reads the events of a queue from a position on, each once, until it is closed. What BullMQ's `QueueEvents` does, but
// for two things: an event in a strange form is passed over and stops nothing, and with a position of its own nothing
// is missed between two reads, or while the store is away.

/** An event as it is stored: its id, and names and values of fields in turn. Anybody may have written them. */
export type StoredEvent = readonly [id: string, fields: readonly string[]];

/** The fields of one event. */
export type EventFields = ReadonlyMap<string, string>;

/** What a stream is read for. */
export interface EventTaker {
  /** How long one command waits for events. */
  readonly blockMs: number;
  /** What the connection is called in the store. */
  readonly suffix?: string;
  /** The id of an event, those after it are read next; `$` for those that come from now on. */
  position(): string | Promise<string>;
  /** Is given what was read, in its order. Must not throw. */
  take(events: readonly StoredEvent[]): void;
  /** The connection broke, or a read failed. It is tried again. */
  broken?(): void;
}

/** Before a store that did not answer is asked again. */
const RETRY_MS = 1000;
/** So much later than it should, a read is late. */
const LATE_MS = 1500;

/** Reads for a taker that knows where it stands. */
export class StreamReader {
  readonly #backend: IQueueBackend;
  readonly #options: BackendOptions;
  readonly #taker: EventTaker;
  /** When the read that is under way was begun, by `performance.now()`. */
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
    void this.#read();
  }

  /** Whether the store has not answered for longer than a read takes. */
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
    staysClosed(backend);
    // The first ends the command that waits.
    await endBackend(
      backend,
      backend.disconnect().then(() => backend.close()),
    );
  }

  async #read(): Promise<void> {
    const { blockMs, suffix } = this.#taker;
    if (suffix !== undefined) this.#backend.setName(this.#backend.clientName(suffix)).catch(() => {}); // for people only
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
        if (!isTransient(error)) this.#options.onError(error as Error); // BullMQ and Redis throw no others
        await this.#options.pause(RETRY_MS);
      }
    }
  }
}

/**
 * BullMQ opens the connection of a read that was late anew, also if it was closed meanwhile: then nobody would close it.
 * The connection is the reader's own, also where the app was given a client.
 */
function staysClosed(backend: IQueueBackend): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const connect = () => Promise.reject(new Error('Connection is closed.'));
  backend.connection.client.then(
    (client) => Object.assign(client, { connect }),
    () => {}, // it was never there
  );
}

/** How long a command of an `EventReader` waits. */
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
          take(toFields(fields), id);
        }
      },
    });
  }
}

function toFields(list: readonly string[]): EventFields {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]), String(list[at + 1]));
  return fields;
}
