import type { IQueueBackend, QueueOptions } from 'bullmq';
import type { BackendOptions } from './backends.js';
import { connect, endBackend } from './closing.js';
import { isTransient } from './guards/transient.js';

/** The fields of one event. Anybody may have written them. */
export type EventFields = ReadonlyMap<string, string>;

/** How long one command waits for events. */
const BLOCK_MS = 10_000;
/** Before a store that did not answer is asked again. */
const AGAIN_MS = 1000;

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
        const [stream] = (await this.#backend.readEvents(this.#position, BLOCK_MS)) ?? [];
        for (const [id, fields] of stream?.[1] ?? []) {
          if (this.#closing !== undefined) return;
          this.#position = id;
          take(toFields(fields), id);
        }
      } catch (error) {
        if (this.#closing !== undefined) return;
        if (!isTransient(error)) this.#options.onError(error as Error); // BullMQ and Redis throw no others
        await this.#options.pause(AGAIN_MS);
      }
    }
  }
}

function toFields(list: readonly string[]): EventFields {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]), String(list[at + 1]));
  return fields;
}
