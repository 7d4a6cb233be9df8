/**
 * Keeps the record of a worker in the store while the worker runs, and announces its start and end as events.
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
  /** Returns the variable part of the record. */
  readonly record: () => Omit<WorkerRecord, keyof WorkerIdentity>;
  readonly onError: (error: Error) => void;
}

/** Longest delay of a closing worker by an unreachable store. */
const GOODBYE_MS = 2000;
const MAX_WRITE_MS = 5000;

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

  /** Announces the worker. Returns the stream position from which it must read control messages. */
  async announce(): Promise<string> {
    const announcing = publishPresence(this.#options.store, 'worker-online', this.#identity());
    this.#announcing = announcing.then(
      () => {
        this.#isAnnounced = true;
      },
      () => {}, // the caller receives the error
    );
    return announcing;
  }

  /** Starts the heartbeat. Resolves when the record is written, or the write failed. */
  async begin(): Promise<void> {
    if (this.#isStopped) return;
    await this.beat();
    this.#schedule();
  }

  /** Writes the current record. */
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
    // An announced start must be followed by an announced end.
    if (this.#announcing !== undefined) await within(GOODBYE_MS, this.#announcing);
    if (!this.#isAnnounced) return;
    const { store, identity } = this.#options;
    try {
      await removeRecords(store, [identity.id], GOODBYE_MS);
      await publishPresence(store, 'worker-offline', this.#identity(), GOODBYE_MS);
    } catch (error) {
      this.#report(error);
    }
  }

  async #write(): Promise<void> {
    if (this.#isStopped) return;
    const { store, identity, record, heartbeatMs } = this.#options;
    const { id, ...others } = identity;
    const text = JSON.stringify({ ...others, ...record() });
    try {
      await writeRecord(store, id, text, Math.min(heartbeatMs, MAX_WRITE_MS));
    } catch (error) {
      this.#report(error);
    }
  }

  #schedule(): void {
    if (this.#isStopped) return;
    // Jitter: workers that start together must not write at the same time.
    const waitMs = this.#options.heartbeatMs * (0.9 + Math.random() / 5);
    this.#timer = setTimeout(() => void this.beat().then(() => this.#schedule()), waitMs);
    this.#timer.unref();
  }

  /** Ignores outages: the connection logs them, and the next heartbeat writes again. */
  #report(error: unknown): void {
    if (!isUmbelError(error, 'CONNECTION') && !isUmbelError(error, 'CLOSED')) {
      this.#options.onError(error as Error); // BullMQ and Redis throw only errors
    }
  }

  #identity(): string {
    const { id, name, host, pid } = this.#options.identity;
    return JSON.stringify({ id, name, host, pid });
  }
}

/** Waits for a promise, `ms` at most. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, isOver]);
  clearTimeout(timer);
}
