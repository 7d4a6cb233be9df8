/**
 * Keeps the record of a worker in the store, for as long as it is there.
 *
 * ```
 * new ─start─▶ announced ─begin─▶ beating ─stop─▶ gone
 * ```
 */

import { isUmbelError } from '../base/errors.js';
import { clearTimeout, setTimeout } from '../base/real-timers.js';
import { publishPresence, removeRecords, writeRecord } from '../store/control-queue.js';
import type { Store } from '../store/store.js';
import type { WorkerIdentity, WorkerRecord } from './worker-record.js';

export interface PresenceOptions {
  readonly store: Store;
  readonly identity: WorkerIdentity;
  readonly heartbeatMs: number;
  /** What changes, as it is now. */
  readonly record: () => Omit<WorkerRecord, keyof WorkerIdentity>;
  readonly onError: (error: Error) => void;
}

/** How long a store that is away may keep a worker from closing. */
const GOODBYE_MS = 2000;
const LONGEST_BEAT_MS = 5000;

export class Presence {
  readonly #options: PresenceOptions;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  #announcing: Promise<void> | undefined;
  #isAnnounced = false;
  #isStopped = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Tells that the worker comes. Gives the position from which on it must read orders. */
  async announce(): Promise<string> {
    const announcing = publishPresence(this.#options.store, 'worker-online', this.#identity());
    this.#announcing = announcing.then(
      () => {
        this.#isAnnounced = true;
      },
      () => {}, // thrown to whoever announces it
    );
    return announcing;
  }

  /** Keeps the record from now on. Settles when it is there, or the store did not take it for now. */
  async begin(): Promise<void> {
    if (this.#isStopped) return;
    await this.beat();
    this.#schedule();
  }

  /** Writes the record as it is now. */
  beat(): Promise<void> {
    const last = this.#beating ?? Promise.resolve();
    const beating = last.then(() => this.#write());
    this.#beating = beating;
    return beating;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#beating;
    // Those who read that it comes are to read that it goes.
    if (this.#announcing !== undefined) await within(GOODBYE_MS, this.#announcing);
    if (!this.#isAnnounced) return;
    const { store, identity } = this.#options;
    try {
      await removeRecords(store, [identity.id], GOODBYE_MS);
      await publishPresence(store, 'worker-offline', this.#identity(), GOODBYE_MS);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #write(): Promise<void> {
    if (this.#isStopped) return;
    const { store, identity, record, heartbeatMs } = this.#options;
    const { id, ...who } = identity;
    const text = JSON.stringify({ ...who, ...record() });
    try {
      await writeRecord(store, id, text, Math.min(heartbeatMs, LONGEST_BEAT_MS));
    } catch (error) {
      this.#failed(error);
    }
  }

  #schedule(): void {
    if (this.#isStopped) return;
    // Not all at the same time, when workers are started together.
    const waitMs = this.#options.heartbeatMs * (0.9 + Math.random() / 5);
    this.#timer = setTimeout(() => void this.beat().then(() => this.#schedule()), waitMs);
    this.#timer.unref();
  }

  /** A store that is away is told of by its connections, and written to again soon. */
  #failed(error: unknown): void {
    if (!isUmbelError(error, 'CONNECTION') && !isUmbelError(error, 'CLOSED')) {
      this.#options.onError(error as Error); // BullMQ and Redis throw no others
    }
  }

  #identity(): string {
    const { id, name, host, pid } = this.#options.identity;
    return JSON.stringify({ id, name, host, pid });
  }
}

/** Settles when `settling` does, after `ms` at the latest. */
async function within(ms: number, settling: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([settling, isOver]);
  clearTimeout(timer);
}
