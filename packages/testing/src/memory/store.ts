import { Choice } from './choice.js';
import { type Clock, EngineTime } from './clock.js';
import { type Gate, openGate } from './gate.js';
import type { JobRecord } from './job-record.js';
import { type LocatedJob, QueueData, type QueueDirectory } from './queue-data.js';
import { dropLocks, recover } from './stalled.js';
import { Turn } from './turn.js';
import { wakeWorkers } from './wake.js';

/** All queues of one `memory()`. */
export class Store implements QueueDirectory {
  readonly time: EngineTime;
  readonly choice: Choice;
  readonly turn = new Turn();
  readonly gate: Gate;
  /** Commands carried out so far. */
  commands = 0;
  readonly #queues = new Map<string, QueueData>();

  constructor(clock: Clock, seed: number | undefined, gate: Gate = openGate) {
    this.gate = gate;
    this.time = new EngineTime(clock);
    this.choice = new Choice(seed);
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
