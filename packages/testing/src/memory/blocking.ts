import type { EntryRaw, StreamReadRaw } from 'bullmq';
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
  if (canTake(queue, maxJobs)) return { ...READY };
  return new Promise((resolve) => {
    const settle = (marker: Marker | null) => {
      unregister();
      stopWaiting(queue, waiter);
      stopTimer();
      reply(queue, () => resolve(marker));
    };
    const waiter: Waiter = { maxJobs, wake: () => settle({ ...READY }) };
    const unregister = connection.registerWait(() => settle({ ...NEVER }));
    const stopTimer = queue.directory.time.startWait(() => settle(null), timeout);
    queue.waiters.add(waiter);
    wakeWorkers(queue);
  });
}

// A woken worker goes on when the command that woke it is answered, not before.
function reply(queue: QueueData, send: () => void): void {
  void queue.directory.turn.next().then(send);
}

/** A place in the events of a queue. */
export interface EventPlace {
  readonly queue: QueueData;
  readonly after: string;
}

/** The events newer than `id` as soon as there are any, or null after `timeout` milliseconds; 0 waits on. */
export async function readEvents(
  queue: QueueData,
  connection: Connection,
  id: string,
  timeout: number,
): Promise<StreamReadRaw> {
  const [present = []] = await readStreams(
    [{ queue, after: id }],
    connection,
    timeout > 0 ? timeout : Infinity,
  );
  return present.length > 0 ? [[`${queue.qualifiedName}:events`, present]] : null;
}

/** The events after each of the places, as soon as there are any, or none after `timeout` milliseconds. */
export async function readStreams(
  places: readonly EventPlace[],
  connection: Connection,
  timeout: number,
): Promise<EntryRaw[][]> {
  connection.assertBlocking();
  const read = () => places.map(({ queue, after }) => queue.events.after(after));
  const present = read();
  const [first] = places;
  if (first === undefined || timeout <= 0 || present.some(({ length }) => length > 0)) return present;
  return new Promise((resolve) => {
    const settle = (result: EntryRaw[][]) => {
      unregister();
      for (const stop of stops) stop();
      stopTimer();
      resolve(result);
    };
    const stops = places.map(({ queue, after }) => queue.events.wait(after, () => settle(read())));
    const unregister = connection.registerWait(() => settle([]));
    const stopTimer = first.queue.directory.time.startWait(() => settle([]), timeout);
  });
}
