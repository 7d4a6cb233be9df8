/**
 * This module retries commands after transient errors of the store. The engines know which errors are transient
 * (`isTransient`). Code that has awaited a command adds such an error to `BackendOptions.outages`; all other code calls
 * `Store.isOutage`.
 */

import type { IQueueBackend } from 'bullmq';
import { performance } from '../../base/real-timers.js';
import { retryAfter } from '../../base/wait.js';
import { isTransient } from '../engine/drivers.js';

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
      const limitMs = pauseMs; // of all requests that fail together
      for (let waitedMs = 0; waitedMs < limitMs && !isClosing(); waitedMs += PAUSE_MS.first)
        await pause(PAUSE_MS.first);
      pauseMs = Math.min(limitMs * 2, PAUSE_MS.max);
      throw error;
    }
  };
}
