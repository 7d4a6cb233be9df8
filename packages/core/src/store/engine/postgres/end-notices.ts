/**
 * This module reads the notifications about ended jobs of one queue, for whoever waits for some of them. As long as they tell
 * all that the events would, the events need not be read at once: a queue has several for each job.
 */
import { clearTimeout, performance, setTimeout } from '../../../base/real-timers.js';
import type { SqlDatabase } from './database.js';
import { NOTICES } from './event-functions.js';

/** Called with the ids of jobs that have ended. Returns whether it needs their events, too. */
export type EndListener = (ids: readonly string[]) => boolean;

/** Time after which other events are read. */
const LATER_MS = 250;

type Notification = { readonly channel: string; readonly payload: string };

export class EndNotices {
  readonly #database: SqlDatabase;
  readonly #queue: string;
  readonly #listener: EndListener;
  /** When events have to be read, in the time of `performance.now()`; undefined while there are no new ones. */
  #dueAt: number | undefined = 0;
  /** Whether somebody waits for them. */
  #isUrgent = true;
  #wake: (() => void) | undefined;
  #isStopped = false;

  constructor(database: SqlDatabase, queue: string, listener: EndListener) {
    this.#database = database;
    this.#queue = queue;
    this.#listener = listener;
    database.on('notification', this.#note).on('lost', this.#readNow);
  }

  /**
   * Waits until events have to be read, for `blockMs` at most. Returns whether somebody waits for them. Whoever reads then
   * has what was notified before.
   */
  async due(blockMs: number): Promise<boolean> {
    await Promise.all(['bullmq_events', NOTICES].map((channel) => this.#database.listen(channel)));
    const deadline = performance.now() + blockMs;
    for (;;) {
      const leftMs = Math.min(this.#dueAt ?? deadline, deadline) - performance.now();
      if (leftMs <= 0 || this.#isStopped) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    const isUrgent = this.#isUrgent;
    this.#dueAt = undefined;
    this.#isUrgent = false;
    return isUrgent;
  }

  /** Has events read again: those that were left. */
  again(isUrgent: boolean, ms: number): void {
    this.#isUrgent ||= isUrgent;
    this.#readIn(isUrgent ? ms : LATER_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#database.off('notification', this.#note).off('lost', this.#readNow);
    this.#wake?.();
  }

  readonly #note = ({ channel, payload }: Notification): void => {
    if (channel === 'bullmq_events') {
      if (payload === this.#queue) this.#readIn(LATER_MS);
      return;
    }
    if (channel !== NOTICES || !payload.startsWith(this.#queue)) return;
    const ids = payload.slice(this.#queue.length);
    // Without ids, the events tell what has happened.
    if (ids === '' || (ids.startsWith('\n') && this.#listener(ids.slice(1).split('\n')))) this.#readNow();
  };

  readonly #readNow = (): void => {
    this.#isUrgent = true;
    this.#readIn(0);
  };

  #readIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.#dueAt !== undefined && this.#dueAt <= at) return;
    this.#dueAt = at;
    this.#wake?.();
  }
}

/**
 * Notices notifications about events of some queues, from now on.
 * @param wakes Functions that end a wait.
 */
export function eventsNotified(
  database: SqlDatabase,
  queues: ReadonlySet<string> | undefined,
  wakes: Set<() => void>,
): { within(ms: number, isPause: boolean): Promise<void>; stop(): void } {
  let isNotified = false;
  let wake: (() => void) | undefined;
  const stop = () => {
    isNotified = true;
    wake?.();
  };
  const note = ({ channel, payload }: Notification) => {
    if (channel === 'bullmq_events' && queues?.has(payload) === true) stop();
  };
  if (queues !== undefined) database.on('notification', note).on('lost', stop);
  wakes.add(stop);
  return {
    within: (ms, isPause) =>
      new Promise((resolve) => {
        if (isNotified && !isPause) {
          resolve();
          return;
        }
        const timer = setTimeout(resolve, Math.max(1, ms));
        if (isPause) return;
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    stop: () => {
      database.off('notification', note).off('lost', stop);
      wakes.delete(stop);
    },
  };
}
