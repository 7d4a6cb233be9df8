import type { Sealer } from '../codec/codecs.js';
import type { JobRef } from '../job/job.js';
import type { JobJsonOptions, ParentKey } from './add.js';
import { toKeepOptions } from './job-options.js';
import type { EndedSet } from './primitives/ended-jobs.js';
import { type BackendOptions, type EnvelopeQueue, QueuePool } from './queue-pool.js';
import type { JobAccess } from './tree.js';

export interface StoreOptions extends BackendOptions {
  readonly sealer: Sealer;
  /** How long commands are retried while the store is unreachable. */
  readonly timeoutMs: number;
  /** Retention of ended jobs that this app sends, in milliseconds. */
  readonly keptMs: Readonly<Record<EndedSet, number>>;
}

const LEAST_ENDED_WAIT_MS = 86_400_000;

/** Access to a store for the functions of this folder: its commands, and the codecs of its values. */
export class StoreAccess implements JobAccess {
  readonly backends: QueuePool;
  readonly sealer: Sealer;
  /** Retention in the form that is stored with each job. */
  readonly keep: JobJsonOptions;
  /** How long the record of an ended wait for a signal is kept: as long as its run, and for a day at least. */
  readonly endedWaitMs: number;
  readonly #timeoutMs: number;

  constructor(options: StoreOptions) {
    this.backends = new QueuePool(options);
    this.sealer = options.sealer;
    this.keep = toKeepOptions(options.keptMs);
    this.endedWaitMs = Math.max(options.keptMs.completed, options.keptMs.failed, LEAST_ENDED_WAIT_MS);
    this.#timeoutMs = options.timeoutMs;
  }

  /** Returns the result of `command`, retried while the store is unreachable. */
  reach<T>(command: () => Promise<T>, timeoutMs: number = this.#timeoutMs): Promise<T> {
    return this.backends.reach(timeoutMs, command);
  }

  /** Returns the result of a command for a queue, retried while the store is unreachable. */
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>, timeoutMs?: number): Promise<T> {
    return this.reach(() => command(this.backends.queue(queue)), timeoutMs);
  }

  readonly queueOf = (name: string): EnvelopeQueue => this.backends.queue(name);

  placeOf(key: string): JobRef {
    const { queueName, id } = this.backends.parseKey(key);
    return { queue: queueName, id };
  }

  /** Returns the key by which children refer to a job. */
  parentKeyOf({ queue, id }: JobRef): ParentKey {
    return { id, queue: this.backends.qualifiedName(queue) };
  }
}
