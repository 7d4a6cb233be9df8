/**
 * Reads the events of a queue from a position on, each once, until it is closed. What BullMQ's `QueueEvents` does, but
 * for two things: an event in a strange form is passed over and stops nothing, and with a position of its own nothing
 * is missed between two reads, or while the store is away.
 */
import { type IQueueBackend, type QueueOptions, RedisQueueBackend } from 'bullmq';
import { performance } from '../real-timers.js';
import type { BackendOptions } from './backends.js';
import { connect, endBackend } from './closing.js';
import { isTransient } from './guards/transient.js';

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
const AGAIN_MS = 1000;
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
        await this.#options.pause(AGAIN_MS);
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
const BLOCK_MS = 10_000;

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
      blockMs: BLOCK_MS,
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
