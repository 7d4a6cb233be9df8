/** The events that BullMQ writes for each queue, as a part of every change of a job, read from any place. */
import type { EntryRaw, FlowProducerOptions, IQueueBackend } from 'bullmq';
import { ClosedError, ConnectionError } from '../errors.js';
import { clearTimeout, setTimeout } from '../real-timers.js';
import type { BackendOptions } from './backends.js';
import { connect, endBackend } from './closing.js';
import { isRedis } from './connection.js';
import { isTransient } from './guards/transient.js';
import { type StreamPlace, type StreamsPrimitive, streamsIn } from './primitives/streams.js';
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
    const error = new ConnectionError('The store gave no answer about its events.');
    this.#options.outages.add(error);
    return error;
  }

  async #disconnect(): Promise<void> {
    const backend = this.#connected?.backend;
    this.#connected = undefined;
    if (backend !== undefined) await endBackend(backend, backend.close(true));
  }

  #connect(): Connected {
    if (this.#isClosed) throw new ClosedError('These events are not read any more.');
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
