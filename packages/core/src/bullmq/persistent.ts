import type { IQueueBackend } from 'bullmq';
import { isTransient } from './transient.js';

const RETRY_MS = { first: 50, max: 1000 };

/** What may be repeated as it is. */
const REPEATABLE = [
  'updateData',
  'updateProgress',
  'addLog',
  'getProcessedChildrenValues',
  'getIgnoredChildrenFailures',
] as const;

/**
 * The backend, with what a worker reads and writes for a job tried again for up to `limitMs` while the store is not
 * ready. BullMQ would make a failed job of a handler that has succeeded, and count an attempt, when the store refuses
 * its outcome because it starts, fails over or is full.
 */
export function persistent<Backend extends IQueueBackend>(
  backend: Backend,
  limitMs: number,
  pause: (ms: number) => Promise<void>,
): Backend {
  /** `done` stands for a command that has arrived although its answer was lost. */
  const persist = async <T>(command: () => Promise<T>, done?: () => T): Promise<T> => {
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
          if (tries > 0 && done !== undefined) return done();
          throw error;
        }
        if (performance.now() + pauseMs > deadline) throw error;
        await pause(pauseMs);
      }
    }
  };
  const { moveToCompleted, moveToFailed, moveToDelayed, retryJob } = backend;
  const finished = () => ({ result: undefined, finishedOn: Date.now() });
  backend.moveToCompleted = (...args) => persist(() => moveToCompleted.apply(backend, args), finished);
  backend.moveToFailed = (...args) => persist(() => moveToFailed.apply(backend, args), finished);
  backend.moveToDelayed = (...args) =>
    persist(
      () => moveToDelayed.apply(backend, args),
      () => undefined,
    );
  backend.retryJob = (...args) =>
    persist(
      () => retryJob.apply(backend, args),
      () => undefined,
    );
  for (const name of REPEATABLE) {
    const command = backend[name].bind(backend) as (...args: unknown[]) => Promise<never>;
    backend[name] = (...args: unknown[]) => persist(() => command(...args));
  }
  return backend;
}
