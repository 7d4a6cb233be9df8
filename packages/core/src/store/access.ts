import type { Sealer } from '../codec/codecs.js';
import type { JobRef } from '../job/job.js';
import type { JobJsonOptions, ParentKey } from './add.js';
import { toKeepOptions } from './job-options.js';
import type { EndedSet } from './primitives/ended-jobs.js';
import { type BackendOptions, type EnvelopeQueue, QueuePool } from './queue-pool.js';
import type { JobAccess } from './tree.js';

export interface StoreOptions extends BackendOptions {
  readonly sealer: Sealer;
  /** How long a command is tried while the store cannot be reached. */
  readonly timeoutMs: number;
  /** How long jobs that are sent from here are kept once they have ended, in milliseconds. */
  readonly keptMs: Readonly<Record<EndedSet, number>>;
}

/** What the parts of a store have in common: how they reach its jobs, and open what is sealed in them. */
export class StoreAccess implements JobAccess {
  readonly backends: QueuePool;
  readonly sealer: Sealer;
  /** The same, as it is stored with each job. */
  readonly keep: JobJsonOptions;
  readonly #timeoutMs: number;

  constructor(options: StoreOptions) {
    this.backends = new QueuePool(options);
    this.sealer = options.sealer;
    this.keep = toKeepOptions(options.keptMs);
    this.#timeoutMs = options.timeoutMs;
  }

  /** What `command` gives, tried while the store cannot be reached. */
  reach<T>(command: () => Promise<T>, timeoutMs: number = this.#timeoutMs): Promise<T> {
    return this.backends.reach(timeoutMs, command);
  }

  /** The same of a queue. */
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>, timeoutMs?: number): Promise<T> {
    return this.reach(() => command(this.backends.queue(queue)), timeoutMs);
  }

  readonly queueOf = (name: string): EnvelopeQueue => this.backends.queue(name);

  placeOf(key: string): JobRef {
    const { queueName, id } = this.backends.parseKey(key);
    return { queue: queueName, id };
  }

  /** A job as those below it refer to it. */
  parentKeyOf({ queue, id }: JobRef): ParentKey {
    return { id, queue: this.backends.qualifiedName(queue) };
  }
}
