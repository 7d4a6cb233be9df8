import type { IQueueBackend } from 'bullmq';
import { isTransient } from './transient.js';

const RETRY_MS = { first: 50, max: 1000 };

/** Real time, taken at load time: the store's troubles are no part of the time that a test may replace. */
const { setTimeout } = globalThis;

/**
 * The backend, with the outcomes of jobs committed again for up to `limitMs` while the store is not ready to take them.
 * BullMQ would make a failed job of a handler that has succeeded, and count an attempt, when the store refuses a commit
 * because it starts, fails over or is full.
 */
export function persistent<Backend extends IQueueBackend>(backend: Backend, limitMs: number): Backend {
  const persist = async <T>(command: () => Promise<T>, done: T): Promise<T> => {
    const deadline = performance.now() + limitMs;
    for (
      let pauseMs = RETRY_MS.first, tries = 0;
      ;
      pauseMs = Math.min(pauseMs * 2, RETRY_MS.max), tries += 1
    ) {
      try {
        return await command();
      } catch (error) {
        if (!isTransient(error)) {
          // The lock is gone, so an earlier try has arrived, or the job is another worker's: nothing is left to commit.
          if (tries > 0) return done;
          throw error;
        }
        if (performance.now() + pauseMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  };
  const { moveToCompleted, moveToFailed, moveToDelayed, retryJob } = backend;
  backend.moveToCompleted = (...args) =>
    persist(() => moveToCompleted.apply(backend, args), { result: undefined, finishedOn: Date.now() });
  backend.moveToFailed = (...args) =>
    persist(() => moveToFailed.apply(backend, args), { result: undefined, finishedOn: Date.now() });
  backend.moveToDelayed = (...args) => persist(() => moveToDelayed.apply(backend, args), undefined);
  backend.retryJob = (...args) => persist(() => retryJob.apply(backend, args), undefined);
  return backend;
}
