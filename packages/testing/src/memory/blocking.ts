import type { StreamReadRaw } from 'bullmq';
import { type ClockHandle, LONGEST_TIMEOUT } from './clock.js';
import type { Connection } from './connection.js';
import type { QueueData, Waiter } from './queue-data.js';
import { canTake, stopWaiting, wakeWorkers } from './wake.js';

/** Tells a worker that a job can be taken, by a score that lies in the past. */
export interface Marker {
  member: string;
  score: number;
}

const READY: Marker = { member: '0', score: 0 };
// A worker whose wait is cut short is stopping: a moment that never comes keeps it from taking a job.
const NEVER: Marker = { member: '', score: Infinity };

function startTimer(queue: QueueData, ms: number, run: () => void): ClockHandle | undefined {
  if (!Number.isFinite(ms)) return undefined;
  return queue.directory.time.clock.setTimeout(run, Math.min(ms, LONGEST_TIMEOUT));
}

/**
 * A marker as soon as a worker with the limit `maxJobs` could take a job, or null after `timeout`
 * milliseconds. The worker need not know when a delayed job comes due: the queue's alarm wakes it.
 */
export async function waitForJob(
  queue: QueueData,
  connection: Connection,
  maxJobs: number | undefined,
  timeout: number,
): Promise<Marker | null> {
  connection.assertBlocking();
  if (canTake(queue, maxJobs, queue.now)) return { ...READY };
  return new Promise((resolve) => {
    const settle = (marker: Marker | null) => {
      unregister();
      stopWaiting(queue, waiter);
      if (timer !== undefined) queue.directory.time.clock.clearTimeout(timer);
      resolve(marker);
    };
    const waiter: Waiter = { maxJobs, wake: () => settle({ ...READY }) };
    const unregister = connection.registerWait(() => settle({ ...NEVER }));
    const timer = startTimer(queue, timeout, () => settle(null));
    queue.waiters.add(waiter);
    wakeWorkers(queue);
  });
}

/** The events newer than `id` as soon as there are any, or null after `timeout` milliseconds; 0 waits on. */
export async function readEvents(
  queue: QueueData,
  connection: Connection,
  id: string,
  timeout: number,
): Promise<StreamReadRaw> {
  connection.assertBlocking();
  const name = `${queue.qualifiedName}:events`;
  const present = queue.events.after(id);
  if (present.length > 0) return [[name, present]];
  return new Promise((resolve) => {
    const settle = (result: StreamReadRaw) => {
      unregister();
      stop();
      if (timer !== undefined) queue.directory.time.clock.clearTimeout(timer);
      resolve(result);
    };
    const stop = queue.events.wait(id, (entries) => settle([[name, entries]]));
    const unregister = connection.registerWait(() => settle(null));
    const timer = startTimer(queue, timeout > 0 ? timeout : Infinity, () => settle(null));
  });
}
