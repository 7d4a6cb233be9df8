/**
 * The sweep for jobs whose worker has died waits while there is reason to think that theirs have not.
 *
 * W9, W10: when the store was frozen or away, or refused to write, or the event loop of this process stood still, locks
 * ran out although their workers live. They need a moment to renew them; a sweep that comes first would run every job a
 * second time.
 */
import type { IQueueBackend } from 'bullmq';
import { primitivesOf } from '../primitives/jobs.js';

/** A store whose answer takes longer has stood still. */
const SLOW_MS = 1000;

/** @param intervalMs From one sweep of a worker to the next. */
export function holdsSweepsOff(backend: IQueueBackend, intervalMs: number): void {
  const sweep = backend.moveStalledJobsToWait.bind(backend);
  const primitives = primitivesOf(backend);
  // It comes after all that the store has to catch up with. A store that only reads renews no locks.
  const probe = () => primitives?.tryWrite?.() ?? backend.getQueueMetaField('version');
  let lastAt = performance.now();
  // A worker may have been started because everything was away.
  let heldUntil = lastAt + intervalMs;
  let wasRefused = false;
  backend.moveStalledJobsToWait = async () => {
    const startedAt = performance.now();
    // When a refusal has ended is known only from the first command that is taken again.
    let isLate = wasRefused || startedAt - lastAt > 2 * intervalMs;
    wasRefused = true;
    try {
      await probe();
      wasRefused = false;
      isLate ||= performance.now() - startedAt > Math.min(SLOW_MS, intervalMs / 2);
    } finally {
      lastAt = performance.now();
      if (isLate || wasRefused) heldUntil = lastAt + intervalMs;
    }
    if (lastAt < heldUntil) return [];
    try {
      return await sweep();
    } catch (error) {
      wasRefused = true;
      throw error;
    }
  };
}
