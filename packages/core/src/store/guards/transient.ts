/**
 * This module decides which errors of the store are transient, and retries commands after them.
 *
 * The message of an error does not prove its source: a handler, a schema or another client may throw the same message. So
 * only code that has just awaited a command of a backend may call `isTransient`. It adds the error to
 * `BackendOptions.outages`; all other code calls `Store.isOutage`.
 */

import type { IQueueBackend } from 'bullmq';
import { isUmbelError } from '../../base/errors.js';
import { performance } from '../../base/real-timers.js';
import { retryAfter } from '../../base/wait.js';

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

/** First words of errors of a Redis that starts, fails over, writes a snapshot or is full. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
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

/** First words of errors of a client. Only the start is compared, because a message may quote a job. */
const MESSAGES = [
  'Connection is closed',
  "Stream isn't writeable",
  'Reached the max retries per request',
  'Command timed out',
  'ERR max number of clients',
  'Socket closed',
  'Connection lost',
  'Command aborted due to connection close',
  // ioredis's errors for a cluster that fails over.
  'Too many Cluster redirections',
  'Failed to refresh slots cache',
  'None of startup nodes is available',
  'Cluster isn',
];

const STARTS = [...REPLIES, ...MESSAGES];

/** Returns true for an error of a store command after which the same command may succeed. */
export function isTransient(error: unknown): boolean {
  // Errors of Umbel and of parsers are not the store's, even if they quote one.
  if (!(error instanceof Error) || isUmbelError(error) || error instanceof SyntaxError) return false;
  const { code, previousErrors } = error as { code?: unknown; previousErrors?: unknown };
  if (typeof code === 'string' && CODES.has(code)) return true;
  const { message } = error;
  // The transaction was not executed; `previousErrors` has the reasons.
  if (message.startsWith('EXECABORT'))
    return !Array.isArray(previousErrors) || previousErrors.some(isTransient);
  return STARTS.some((words) => message.startsWith(words));
}

export const RETRY_MS = { first: 50, max: 1000 };

export interface TransientRetryOptions {
  readonly limitMs: number;
  /** Default: 1000. */
  readonly longestPauseMs?: number;
  readonly pause: (ms: number) => Promise<void>;
  /** Returns whether to stop retrying. */
  readonly isOver: () => boolean;
}

/** Returns the result of a command, retried for a while after transient errors. The command must be idempotent. */
export async function retryTransient<T>(
  command: () => Promise<T>,
  { limitMs, longestPauseMs = RETRY_MS.max, pause, isOver }: TransientRetryOptions,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  try {
    return await command();
  } catch (first) {
    const maxMs = Math.min(longestPauseMs, RETRY_MS.max);
    const check = (error: unknown, pauseMs: number) => {
      if (isOver() || performance.now() + pauseMs > deadline || !isTransient(error)) throw error;
    };
    return retryAfter(first, command, { firstMs: Math.min(RETRY_MS.first, maxMs), maxMs, pause, check });
  }
}

// W24: while the store rejects requests for jobs, BullMQ repeats them at once, thousands of times a second.

const PAUSE_MS = { first: 100, max: 5000 };

export interface BackOffOptions {
  readonly pause: (ms: number) => Promise<void>;
  readonly isClosing: () => boolean;
}

/** Delays requests for jobs after an error, with a growing delay for consecutive errors. */
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
