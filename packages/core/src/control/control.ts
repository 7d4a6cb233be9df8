/** `app.control`: changes of the workers, queues and jobs of an app, from any process. */

import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, checkText } from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import { type AsyncResult, isTerminating, type RevokeOptions } from '../client/async-result.js';
import type { QueueHandle } from '../store/queues.js';
import { type Concurrency, checkQueue, concurrencyBounds, type Rate } from '../task/option-checks.js';
import { type ControlResult, readControlResult, readShuttingDown, type ShuttingDown } from './answers.js';
import { type Answers, ASK_OPTIONS, type AskOptions, type WorkerQuery } from './ask.js';

/**
 * Controls the workers, queues and jobs of an app, from any process. Changes of jobs and queues are stored and apply to
 * every worker, including later ones. Changes of workers apply to the workers that receive the message in time, until each
 * of them ends; the answers show which did.
 * @example
 * await app.control.pause('email');
 * const { missing } = await app.control.setConcurrency(20, { workers: 'mail.17', queue: 'email' });
 */
export interface Control {
  /**
   * Revokes jobs or whole workflow runs, like `revoke` of their handles. Returns the number of ids of which something was
   * revoked, without those that had ended.
   * @throws {UnknownJobError} if an id is not in the store; the others are revoked.
   */
  revoke(id: string | readonly string[], options?: RevokeOptions): Promise<number>;
  /** Revokes everything with a tag. Returns the number of task jobs that were revoked and had not ended. */
  revokeByTag(tag: string, options?: RevokeOptions): Promise<number>;
  /** Revokes jobs and aborts their running attempts. Returns the number of ids of which something was revoked. */
  terminate(id: string | readonly string[]): Promise<number>;
  /** Sets how many jobs of a queue start in a time, over all workers: `'100/m'`; undefined removes the limit. Stored. */
  rateLimit(queue: string, rate: Rate | undefined): Promise<void>;
  /** Sets how many jobs of a queue run at the same time, over all workers; undefined removes the limit. Stored. */
  limitConcurrency(queue: string, concurrency: number | undefined): Promise<void>;
  /** Pauses a queue: workers take no more jobs of it until `resume`. Running jobs continue. Stored. */
  pause(queue: string): Promise<void>;
  /** Resumes a paused queue. */
  resume(queue: string): Promise<void>;
  /**
   * Sets the concurrency of `queue`, or of every served queue, in each process of the workers. With a lower number the
   * running jobs continue. A worker that does not serve the queue answers with an error.
   */
  setConcurrency(
    concurrency: Concurrency,
    options?: AskOptions & { queue?: string | undefined },
  ): Promise<Answers<ControlResult>>;
  /** Makes workers serve another queue. A worker whose app has no queue of that name answers with an error. */
  addQueue(
    queue: string,
    options?: AskOptions & { concurrency?: Concurrency | undefined },
  ): Promise<Answers<ControlResult>>;
  /** Makes workers stop serving a queue; running jobs continue. A worker that does not serve it answers with an error. */
  cancelQueue(queue: string, options?: AskOptions): Promise<Answers<ControlResult>>;
  /**
   * Shuts workers down like SIGTERM: each answers, takes no more jobs, waits for the running ones, returns the rest to
   * their queues at its timeout, and closes its app if that has no other worker. The process ends if nothing else keeps it
   * alive.
   */
  shutdown(
    options?: AskOptions & {
      /** Longest wait for running jobs; 0: no wait. Default: the `shutdownTimeout` of each worker. */
      jobsTimeout?: Duration | undefined;
    },
  ): Promise<Answers<ShuttingDown>>;
}

export interface ControlDependencies {
  readonly workerQuery: WorkerQuery;
  /** Returns handles of jobs in any queue of the app or its workers. @throws {InvalidOptionError} */
  readonly results: (ids: readonly string[]) => Promise<readonly AsyncResult<unknown>[]>;
  readonly revokeByTag: (query: { tag: string; terminate: boolean }) => Promise<number>;
  /** @throws {UnknownQueueError} */
  readonly queue: (name: string) => Promise<QueueHandle>;
}

const MAX_IDS = 100_000;
/** Number of handles that are revoked at the same time. */
const BATCH_SIZE = 50;

/** @param dependencies Returns those of the app, or of its test override, at the time of a call. */
export function controlOf(dependencies: () => ControlDependencies): Control {
  const revoke = async (id: string | readonly string[], terminate: boolean): Promise<number> => {
    const handles = await dependencies().results(idList(id));
    let count = 0;
    const errors: unknown[] = [];
    for (let start = 0; start < handles.length; start += BATCH_SIZE) {
      const slice = handles.slice(start, start + BATCH_SIZE).map((handle) => handle.revoke({ terminate }));
      for (const outcome of await Promise.allSettled(slice)) {
        if (outcome.status === 'rejected') errors.push(outcome.reason);
        else count += Number(outcome.value);
      }
    }
    if (errors.length > 0) throw errors[0];
    return count;
  };
  return {
    revoke: async (id, options = {}) => revoke(id, isTerminating(options)),
    revokeByTag: async (tag, options = {}) =>
      dependencies().revokeByTag({ tag, terminate: isTerminating(options) }),
    terminate: (id) => revoke(id, true),
    rateLimit: async (queue, rate) => (await dependencies().queue(queue)).setRateLimit(rate),
    limitConcurrency: async (queue, concurrency) =>
      (await dependencies().queue(queue)).setConcurrency(concurrency),
    pause: async (queue) => (await dependencies().queue(queue)).pause(),
    resume: async (queue) => (await dependencies().queue(queue)).resume(),
    async setConcurrency(concurrency, callOptions = {}) {
      const { queue, ...options } = checkOptions(callOptions, { ...ASK_OPTIONS, queue: true });
      concurrencyBounds('concurrency', concurrency);
      if (queue !== undefined) checkQueue('queue', queue);
      return dependencies().workerQuery.ask(
        'set-concurrency',
        { concurrency, queue },
        readControlResult,
        options,
      );
    },
    async addQueue(queue, callOptions = {}) {
      const { concurrency, ...options } = checkOptions(callOptions, { ...ASK_OPTIONS, concurrency: true });
      checkQueue('queue', queue);
      if (concurrency !== undefined) concurrencyBounds('concurrency', concurrency);
      return dependencies().workerQuery.ask('add-queue', { queue, concurrency }, readControlResult, options);
    },
    async cancelQueue(queue, options) {
      checkQueue('queue', queue);
      return dependencies().workerQuery.ask('cancel-queue', { queue }, readControlResult, options);
    },
    async shutdown(callOptions = {}) {
      const { jobsTimeout, ...options } = checkOptions(callOptions, { ...ASK_OPTIONS, jobsTimeout: true });
      const jobsTimeoutMs =
        jobsTimeout === undefined
          ? undefined
          : checkInteger('jobsTimeout', durationMs(jobsTimeout, 'jobsTimeout'), 0, LONGEST_MS);
      return dependencies().workerQuery.ask('shutdown', { jobsTimeoutMs }, readShuttingDown, options);
    },
  };
}

/** Longest delay of a timer. */
export const LONGEST_MS = 2 ** 31 - 1;

function idList(id: string | readonly string[]): readonly string[] {
  const ids = typeof id === 'string' ? [id] : id;
  if (!Array.isArray(ids) || ids.length > MAX_IDS)
    throw new InvalidOptionError('id', `an id, or a list of at most ${MAX_IDS} ids`, id);
  return [...new Set(ids.map((one: string) => checkText('id', one, 1000)))];
}
