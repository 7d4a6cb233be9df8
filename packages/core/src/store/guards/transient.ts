/**
 * Decides which errors of the store pass by themselves.
 *
 * The words of an error prove nothing about where it comes from: a handler, a schema or another client may throw the same
 * ones. So only code that has just awaited a command of a backend may ask. It puts what it passes on into
 * `BackendOptions.outages`, and everything else asks `Store.isOutage`.
 */

import type { IQueueBackend } from 'bullmq';
import { isUmbelError } from '../../base/errors.js';
import { performance } from '../../base/real-timers.js';

const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** First words of what a Redis answers that starts, fails over, writes a snapshot or is full. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const REPLIES = [
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'BUSY',
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'UNBLOCKED',
  'MOVED',
  'NOSCRIPT',
  'ASK ',
];

/** First words of what a client says. Never looked for further on in a message: that may quote a job. */
const MESSAGES = [
  'Connection is closed',
  "Stream isn't writeable",
  'Reached the max retries per request',
  'Command timed out',
  'ERR max number of clients',
  'Socket closed',
  'Connection lost',
  'Command aborted due to connection close',
  // A cluster that fails over, as ioredis tells of it.
  'Too many Cluster redirections',
  'Failed to refresh slots cache',
  'None of startup nodes is available',
  'Cluster isn',
];

const STARTS = [...REPLIES, ...MESSAGES];

/** True for an error of a command of the store after which the same command may succeed. */
export function isTransient(error: unknown): boolean {
  // Neither Umbel's own errors nor those of a parser are the store's, whatever they quote.
  if (!(error instanceof Error) || isUmbelError(error) || error instanceof SyntaxError) return false;
  const { code, previousErrors } = error as { code?: unknown; previousErrors?: unknown };
  if (typeof code === 'string' && CODES.has(code)) return true;
  const { message } = error;
  // Nothing of the transaction was done; ioredis tells why.
  if (message.startsWith('EXECABORT'))
    return !Array.isArray(previousErrors) || previousErrors.some(isTransient);
  return STARTS.some((words) => message.startsWith(words));
}

export const RETRY_MS = { first: 50, max: 1000 };

export interface RepeatOptions {
  readonly limitMs: number;
  /** Default: a second. */
  readonly longestPauseMs?: number;
  readonly pause: (ms: number) => Promise<void>;
  /** Whether the store is not to be reached any more. */
  readonly isOver: () => boolean;
}

/** What the command gives, tried again for a while when the store is not ready; so it must be one that may be repeated. */
export async function repeat<T>(
  command: () => Promise<T>,
  { limitMs, longestPauseMs = RETRY_MS.max, pause, isOver }: RepeatOptions,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  const maxMs = Math.min(longestPauseMs, RETRY_MS.max);
  for (let pauseMs = Math.min(RETRY_MS.first, maxMs); ; pauseMs = Math.min(pauseMs * 2, maxMs)) {
    try {
      return await command();
    } catch (error) {
      if (isOver() || performance.now() + pauseMs > deadline || !isTransient(error)) throw error;
      await pause(pauseMs);
    }
  }
}

// W24: while the store refuses to hand out jobs, BullMQ asks again at once, thousands of times a second.

const PAUSE_MS = { first: 100, max: 5000 };

export interface BackOffOptions {
  readonly pause: (ms: number) => Promise<void>;
  readonly isClosing: () => boolean;
}

/** Waits after an error, longer after each one that follows, before the next command can be given. */
export function backsOff(backend: IQueueBackend, { pause, isClosing }: BackOffOptions): void {
  const moveToActive = backend.moveToActive.bind(backend);
  let pauseMs = PAUSE_MS.first;
  backend.moveToActive = async (...args) => {
    try {
      const answer = await moveToActive(...args);
      pauseMs = PAUSE_MS.first;
      return answer;
    } catch (error) {
      for (let waitedMs = 0; waitedMs < pauseMs && !isClosing(); waitedMs += PAUSE_MS.first)
        await pause(PAUSE_MS.first);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS.max);
      throw error;
    }
  };
}
