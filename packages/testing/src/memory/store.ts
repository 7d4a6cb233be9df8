/** The memory store: all queues of one `memory()`, and the recovery of stalled jobs. */

import { INTERNAL_QUEUE, type OpenWaitRecord } from '@umbel/core/internal';
import { type Clock, EngineTime } from './clock.js';
import { SeededRandom } from './collections.js';
import { wakeWorkers } from './enqueue.js';
import { NextTick, openRunGate, type RunGate } from './events.js';
import type { JobRecord } from './job-record.js';
import { type LocatedJob, QueueData, type QueueDirectory } from './queue.js';
import { isLocked } from './take.js';

/** Returns active jobs to the waiting ones if their lock was not renewed since the last check. Returns their ids. */
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
    returnToWait(queue, job);
    recovered.push(jobId);
  }
  queue.stalling.clear();
  for (const job of queue.active) queue.stalling.add(job.id);
  if (recovered.length > 0) wakeWorkers(queue);
  return recovered;
}

/** Removes the locks of active jobs, as if their workers had crashed. Returns the jobs. */
function dropLocks(queue: QueueData, isDropped: (job: JobRecord) => boolean): JobRecord[] {
  const dropped = [...queue.active].filter(isDropped);
  for (const job of dropped) job.lockToken = undefined;
  return dropped;
}

/** Returns an active job without a lock to the waiting ones, like the check for stalled jobs. */
function recover(queue: QueueData, job: JobRecord): void {
  if (isLocked(queue, job) || !queue.take('active', job)) return;
  job.stalledCounter += 1;
  returnToWait(queue, job);
  wakeWorkers(queue);
}

function returnToWait(queue: QueueData, job: JobRecord): void {
  queue.pushTail('wait', job);
  queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'active');
  queue.emit('event', 'stalled', 'jobId', job.id);
}

/** The queues of one `memory()`. */
export class Store implements QueueDirectory {
  readonly time: EngineTime;
  readonly choice: SeededRandom;
  readonly turn = new NextTick();
  readonly gate: RunGate;
  /** Number of commands so far. */
  commands = 0;
  readonly #queues = new Map<string, QueueData>();
  /** The place of the job that was found last, at the split that is tried first. */
  #found: { readonly key: string; readonly queue: QueueData; readonly id: string } | undefined;

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

  /** Returns the qualified names of queues with jobs or settings. */
  queueNames(start: string): string[] {
    const isUsed = ({ jobs, meta }: QueueData) => jobs.size > 0 || !meta.isEmpty;
    return [...this.#queues].flatMap(([name, queue]) =>
      name.startsWith(start) && isUsed(queue) ? [name] : [],
    );
  }

  /** Wakes blocked workers of every queue, because the gate may admit more jobs. */
  wake(): void {
    for (const queue of this.#queues.values()) wakeWorkers(queue);
  }

  /** Returns the number of queues whose timer is set only for delayed jobs that match. */
  alarmsOnlyFor(isMatch: (job: JobRecord) => boolean): number {
    const isOnlyFor = ({ alarm, delayed }: QueueData) => {
      if (alarm === undefined) return false;
      for (const job of delayed) if (!isMatch(job)) return false;
      return delayed.size > 0;
    };
    return [...this.#queues.values()].filter(isOnlyFor).length;
  }

  /** Returns the waits for signals that no signal has decided and whose jobs have not ended. */
  openWaits(): OpenWaitRecord[] {
    return [...this.#queues.values()].flatMap((queue) => {
      if (queue.signals.size === 0) return [];
      const internal = `${queue.qualifiedName.slice(0, -queue.name.length)}${INTERNAL_QUEUE}`;
      const jobs = this.queue(internal).jobs;
      const isOpen = (id: string) => jobs.get(id)?.finishedOn === undefined && jobs.has(id);
      return queue.signals.open(queue.now).filter(({ job, isSignalled }) => !isSignalled && isOpen(job));
    });
  }

  /** Removes the locks of active jobs; returns a function that returns these jobs to the waiting ones. */
  dropLocks(isDropped: (job: JobRecord) => boolean): () => void {
    const dropped = [...this.#queues.values()].flatMap((queue) =>
      dropLocks(queue, isDropped).map((job) => () => recover(queue, job)),
    );
    return () => {
      for (const recoverJob of dropped) recoverJob();
    };
  }

  // The jobs of a flow end one after the other, and all look for the same parent.
  find(jobKey: string): LocatedJob | undefined {
    if (this.#found?.key === jobKey) {
      const { queue, id } = this.#found;
      const job = queue.jobs.get(id);
      if (job) return { queue, job };
    }
    return this.#search(jobKey);
  }

  // Ids and prefixes may contain colons, so every possible split of the key is tried.
  #search(jobKey: string): LocatedJob | undefined {
    const lastColon = jobKey.lastIndexOf(':');
    for (let colon = lastColon; colon > 0; colon = jobKey.lastIndexOf(':', colon - 1)) {
      const id = jobKey.slice(colon + 1);
      const queue = this.#queues.get(jobKey.slice(0, colon));
      const job = queue?.jobs.get(id);
      if (!queue || !job) continue;
      if (colon === lastColon) this.#found = { key: jobKey, queue, id };
      return { queue, job };
    }
    return undefined;
  }
}
