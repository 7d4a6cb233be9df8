/**
 * The sweep for jobs whose worker has died waits while there is reason to think that theirs have not.
 *
 * W9, W10: when the store was frozen or away, or the event loop of this process stood still, locks ran out although
 * their workers live. They need a moment to renew them; a sweep that comes first would run every job a second time.
 */
import type { IQueueBackend } from 'bullmq';

/** An answer that takes longer tells of a store that stood still. */
const SLOW_MS = 1000;

/** @param intervalMs From one sweep of a worker to the next. */
export function holdsSweepsOff(backend: IQueueBackend, intervalMs: number): void {
  const sweep = backend.moveStalledJobsToWait.bind(backend);
  let lastAt = performance.now();
  // A worker may have been started because everything was away.
  let heldUntil = lastAt + intervalMs;
  backend.moveStalledJobsToWait = async () => {
    const startedAt = performance.now();
    let isLate = startedAt - lastAt > 2 * intervalMs;
    try {
      await backend.getQueueMetaField('version'); // any command: it comes after all that the store has to catch up with
      isLate ||= performance.now() - startedAt > Math.min(SLOW_MS, intervalMs / 2);
    } catch (error) {
      isLate = true;
      throw error;
    } finally {
      lastAt = performance.now();
      if (isLate) heldUntil = lastAt + intervalMs;
    }
    return lastAt < heldUntil ? [] : sweep();
  };
}
