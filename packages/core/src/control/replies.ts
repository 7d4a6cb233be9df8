import type { BackendOptions } from '../bullmq/backends.js';
import { replyPosition, replyReader, type StoredReply } from '../bullmq/control.js';
import type { EventReader } from '../bullmq/event-reader.js';
import type { Store } from '../bullmq/store.js';
import { clearTimeout, setTimeout } from '../real-timers.js';

/** A subscription is kept so long after the last question, for the next one. */
const KEPT_MS = 5000;

/** Answers to what this app has asked. One subscription, however much is asked at a time; none while nothing is. */
export class Replies {
  readonly #store: Store;
  readonly #options: BackendOptions;
  readonly #takers = new Map<string, (reply: StoredReply) => void>();
  #reader: Promise<EventReader> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(store: Store, options: BackendOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Hands on every answer to what is asked under this id once this has settled; gives a function that stops it. */
  async expect(id: string, take: (reply: StoredReply) => void): Promise<() => void> {
    clearTimeout(this.#idle);
    this.#takers.set(id, take);
    const stop = () => {
      this.#takers.delete(id);
      if (this.#takers.size > 0) return;
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => void this.close(), KEPT_MS);
      this.#idle.unref();
    };
    this.#reader ??= this.#open();
    try {
      await this.#reader;
    } catch (error) {
      this.#reader = undefined;
      stop();
      throw error;
    }
    return stop;
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const reader = this.#reader;
    this.#reader = undefined;
    await (await reader?.catch(() => undefined))?.close();
  }

  async #open(): Promise<EventReader> {
    const from = await replyPosition(this.#store);
    return replyReader(this.#options, from, (reply) => this.#takers.get(reply.to)?.(reply));
  }
}
