import { LONGEST_TIMEOUT } from './clock.js';
import { dueTime } from './enqueue.js';
import { promoteDue } from './promote-due.js';
import type { QueueData, Waiter } from './queue-data.js';
import { limitedFor } from './rate-limit.js';

/** Whether a worker with the limit `maxJobs` would be handed a job now. */
export function canTake(queue: QueueData, maxJobs: number | undefined, now: number): boolean {
  if (queue.wait.size === 0 && queue.prioritized.size === 0) return false;
  return !queue.isPausedOrMaxed() && limitedFor(queue, queue.meta.max ?? maxJobs, now) === 0;
}

/**
 * Wakes one blocked worker if it could take a job, and sets the alarm for the next moment at which one could.
 * Called after each change; a worker that takes a job calls it again, which wakes the next one.
 */
export function wakeWorkers(queue: QueueData): void {
  if (queue.waiters.size === 0) return;
  const { now } = queue;
  const ready: Waiter[] = [];
  for (const waiter of queue.waiters) {
    if (canTake(queue, waiter.maxJobs, now)) ready.push(waiter);
    else if (waiter.maxJobs === undefined) break;
  }
  const chosen = ready[queue.directory.choice.pick(ready.length)];
  if (chosen) {
    queue.waiters.delete(chosen);
    chosen.wake();
  }
  setAlarm(queue, now);
}

/** Takes back the alarm when nobody waits for it, so that no timer outlives the workers. */
export function stopWaiting(queue: QueueData, waiter: Waiter): void {
  queue.waiters.delete(waiter);
  if (queue.waiters.size === 0) clearAlarm(queue);
}

function setAlarm(queue: QueueData, now: number): void {
  const at = queue.waiters.size === 0 ? Infinity : nextChange(queue, now);
  if (queue.alarm?.at === at) return;
  clearAlarm(queue);
  if (at === Infinity) return;
  const ms = Math.min(Math.max(at - now, 0), LONGEST_TIMEOUT);
  queue.alarm = { at, handle: queue.directory.time.clock.setTimeout(() => ring(queue), ms) };
}

function clearAlarm(queue: QueueData): void {
  if (queue.alarm) queue.directory.time.clock.clearTimeout(queue.alarm.handle);
  queue.alarm = undefined;
}

/** When a job that cannot be taken now could be taken without any command. */
function nextChange(queue: QueueData, now: number): number {
  const first = queue.delayed.first();
  const due = first ? dueTime(first) : Infinity;
  const { limiter } = queue;
  const limited = queue.wait.size > 0 || queue.prioritized.size > 0;
  const limitEnd = limited && limiter?.expiresAt !== undefined ? limiter.expiresAt : Infinity;
  return Math.min(due, limitEnd > now ? limitEnd : Infinity);
}

function ring(queue: QueueData): void {
  queue.alarm = undefined;
  promoteDue(queue, queue.now);
  wakeWorkers(queue);
}
