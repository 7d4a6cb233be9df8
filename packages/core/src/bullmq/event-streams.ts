/** The events that BullMQ writes for each queue, as a part of every change of a job, read from any place. */
import type { FlowProducerOptions, IQueueBackend } from 'bullmq';
import { ClosedError } from '../errors.js';
import type { BackendOptions } from './backends.js';
import { connect, endBackend } from './closing.js';
import { isTransient } from './guards/transient.js';
import type { Store } from './store.js';

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
