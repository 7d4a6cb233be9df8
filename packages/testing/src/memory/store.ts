import { type Clock, EngineTime } from './clock.js';
import { SeededRandom } from './collections.js';
import { wakeWorkers } from './enqueue.js';
import { NextTick, openRunGate, type RunGate } from './events.js';
import type { JobRecord } from './job-record.js';
import { type LocatedJob, QueueData, type QueueDirectory } from './queue.js';
import { isLocked } from './take.js';

/** The ids of the active jobs put back because no worker renewed their lock since the last sweep. */
export function recoverStalled(queue: QueueData, maxStalledCount: number, interval: number): string[] {
  const now = queue.lockNow;
  if (now <= queue.stalledCheckUntil) return [];
  queue.stalledCheckUntil = now + interval;
  queue.events.trim(queue.meta.maxEvents());
  const recovered: string[] = [];
  for (const jobId of queue.directory.choice.arrange(queue.stalling)) {
    const job = queue.jobs.get(jobId);
    if (!job || isLocked(queue, job) || !queue.take('active', job)) continue;
    job.stalledCounter += 1;
    const scheduled = job.repeatJobKey !== undefined && queue.schedulers.has(job.repeatJobKey);
    if (job.stalledCounter > maxStalledCount && !scheduled) {
      job.deferredFailure = 'job stalled more than allowable limit';
    }
    putBack(queue, job);
    recovered.push(jobId);
  }
  queue.stalling.clear();
  for (const job of queue.active) queue.stalling.add(job.id);
  if (recovered.length > 0) wakeWorkers(queue);
  return recovered;
}

/** Takes active jobs from the workers that hold them, as if those had died; gives the jobs. */
export function dropLocks(queue: QueueData, isDropped: (job: JobRecord) => boolean): JobRecord[] {
  const dropped = [...queue.active].filter(isDropped);
  for (const job of dropped) job.lockToken = undefined;
  return dropped;
}

/** Lets a job run again that no worker holds any more, as a sweep would. */
export function recover(queue: QueueData, job: JobRecord): void {
  if (isLocked(queue, job) || !queue.take('active', job)) return;
  job.stalledCounter += 1;
  putBack(queue, job);
  wakeWorkers(queue);
}

function putBack(queue: QueueData, job: JobRecord): void {
  queue.pushTail('wait', job);
  queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'active');
  queue.emit('event', 'stalled', 'jobId', job.id);
}

/** All queues of one `memory()`. */
export class Store implements QueueDirectory {
  readonly time: EngineTime;
  readonly choice: SeededRandom;
  readonly turn = new NextTick();
  readonly gate: RunGate;
  /** Commands carried out so far. */
  commands = 0;
  readonly #queues = new Map<string, QueueData>();

  constructor(clock: Clock, seed: number | undefined, gate: RunGate = openRunGate) {
    this.gate = gate;
    this.time = new EngineTime(clock);
    this.choice = new SeededRandom(seed);
  }

  queue(qualifiedName: string): QueueData {
    let queue = this.#queues.get(qualifiedName);
    if (!queue) {
      queue = new QueueData(qualifiedName, this);
      this.#queues.set(qualifiedName, queue);
    }
    return queue;
  }

  /** The qualified names of the queues that something was put into, or said of. */
  queueNames(start: string): string[] {
    const isUsed = ({ jobs, meta }: QueueData) => jobs.size > 0 || !meta.isEmpty;
    return [...this.#queues].flatMap(([name, queue]) =>
      name.startsWith(start) && isUsed(queue) ? [name] : [],
    );
  }

  /** Wakes blocked workers of every queue, as the gate may have opened. */
  wake(): void {
    for (const queue of this.#queues.values()) wakeWorkers(queue);
  }

  /** How many queues have a timer that is set for such delayed jobs only. */
  alarmsOnlyFor(isSuch: (job: JobRecord) => boolean): number {
    const isOnlyFor = ({ alarm, delayed }: QueueData) => {
      if (alarm === undefined) return false;
      for (const job of delayed) if (!isSuch(job)) return false;
      return delayed.size > 0;
    };
    return [...this.#queues.values()].filter(isOnlyFor).length;
  }

  /** Takes active jobs from the workers that hold them; gives a function that lets those run again. */
  dropLocks(isDropped: (job: JobRecord) => boolean): () => void {
    const dropped = [...this.#queues.values()].flatMap((queue) =>
      dropLocks(queue, isDropped).map((job) => () => recover(queue, job)),
    );
    return () => {
      for (const recoverJob of dropped) recoverJob();
    };
  }

  // Ids and prefixes may hold colons, so each place where the key could be divided is tried.
  find(jobKey: string): LocatedJob | undefined {
    for (let colon = jobKey.lastIndexOf(':'); colon > 0; colon = jobKey.lastIndexOf(':', colon - 1)) {
      const queue = this.#queues.get(jobKey.slice(0, colon));
      const job = queue?.jobs.get(jobKey.slice(colon + 1));
      if (queue && job) return { queue, job };
    }
    return undefined;
  }
}
