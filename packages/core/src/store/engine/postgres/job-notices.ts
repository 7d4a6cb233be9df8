/**
 * This module counts the notifications about new jobs of a queue. A worker whose last answer said that no job waits need not
 * ask again until one arrives.
 */
import type { SqlDatabase } from './database.js';

/** The answer of the store when no job waited. */
interface Idle {
  /** Number of notifications before. */
  readonly noticed: number;
  /** Time of the store when the next delayed job is due. */
  readonly dueAt: number | undefined;
}

export class JobNotices {
  readonly #database: SqlDatabase;
  readonly #queue: string;
  #count = 0;
  #isCounting = false;
  #idle: Idle | undefined;

  constructor(database: SqlDatabase, queue: string) {
    this.#database = database;
    this.#queue = queue;
  }

  /** Number of notifications so far; equal to no other number while they are not counted. */
  get count(): number {
    return this.#isCounting ? this.#count : Number.NaN;
  }

  /** Notes that no job waited, as the answer to a statement that was sent after `noticed` notifications. */
  noteIdle(noticed: number, dueAt: number | undefined): void {
    this.#idle = { noticed, dueAt };
  }

  /** Returns what the store said last, once, if nothing was notified since. Counts from the first call on. */
  takeIdle(): Idle | undefined {
    const idle = this.#idle;
    this.#idle = undefined;
    if (this.#isCounting) return idle?.noticed === this.#count ? idle : undefined;
    this.#isCounting = true;
    this.#database.on('notification', this.#note).on('lost', this.#lost);
    return undefined;
  }

  stop(): void {
    this.#isCounting = false;
    this.#database.off('notification', this.#note).off('lost', this.#lost);
  }

  readonly #note = ({ channel, payload }: { channel: string; payload: string }): void => {
    if (channel === 'bullmq_jobs' && payload === this.#queue) this.#count += 1;
  };

  readonly #lost = (): void => {
    this.#count += 1;
  };
}
