import { Choice } from './choice.js';
import { type Clock, EngineTime } from './clock.js';
import { type LocatedJob, QueueData, type QueueDirectory } from './queue-data.js';
import { Turn } from './turn.js';

/** All queues of one `memory()`. */
export class Store implements QueueDirectory {
  readonly time: EngineTime;
  readonly choice: Choice;
  readonly turn = new Turn();
  readonly #queues = new Map<string, QueueData>();

  constructor(clock: Clock, seed: number | undefined) {
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
