/** What an app's workers, queues and jobs can be told, from any process. */

import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, checkOptions, checkText } from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import type { AsyncResult, RevokeOptions } from '../client/async-result.js';
import { isTerminating } from '../client/async-result.js';
import type { QueueHandle } from '../store/queues.js';
import { type Concurrency, checkQueue, concurrencyBounds, type Rate } from '../task/option-checks.js';
import { type ControlResult, readControlResult, readShuttingDown, type ShuttingDown } from './answers.js';
import { type Answers, ASK_OPTIONS, type AskOptions, type WorkerQuery } from './ask.js';

/**
 * Directs the workers, queues and jobs of an app, from any process. What concerns jobs and queues is stored, and holds
 * for every worker, also for those that start later. Orders to workers hold until each of them ends; they are obeyed by
 * those that hear them in time, and the answer tells which did.
 */
export interface Control {
  /**
   * Keeps jobs or whole compositions from starting, for good, as `revoke` of their handles. Gives of how many something
   * was revoked; those of which all has ended are not counted.
   * @throws {UnknownJobError} if the store does not hold one of them; the others are revoked.
   */
  revoke(id: string | readonly string[], options?: RevokeOptions): Promise<number>;
  /** The same of all that bears a tag. Gives the number of jobs of tasks that were marked and had not ended. */
  revokeByTag(tag: string, options?: RevokeOptions): Promise<number>;
  /** Revokes jobs, and gives up their attempts that run. */
  terminate(id: string | readonly string[]): Promise<number>;
  /** Jobs of a queue that start in a time, in all workers together: `'100/m'`; undefined: no limit. Stored. */
  rateLimit(queue: string, rate: Rate | undefined): Promise<void>;
  /** Jobs of a queue that run at the same time, in all workers together; undefined: no limit but their own. Stored. */
  limitConcurrency(queue: string, concurrency: number | undefined): Promise<void>;
  /** Workers take no more jobs of the queue until `resume`; those that run go on. Stored. */
  pause(queue: string): Promise<void>;
  resume(queue: string): Promise<void>;
  /**
   * Jobs of one queue that run at the same time in each process of the workers, of `queue` or of each that it serves. Of
   * a lower number, those that run go on. A worker that does not serve the queue answers with an error.
   */
  setConcurrency(
    concurrency: Concurrency,
    options?: AskOptions & { queue?: string | undefined },
  ): Promise<Answers<ControlResult>>;
  /** Lets workers serve one more queue. A worker whose app has none of that name answers with an error. */
  addQueue(
    queue: string,
    options?: AskOptions & { concurrency?: Concurrency | undefined },
  ): Promise<Answers<ControlResult>>;
  /** Lets workers take no more jobs of a queue; those that run go on. A worker that does not serve it answers with an error. */
  cancelQueue(queue: string, options?: AskOptions): Promise<Answers<ControlResult>>;
  /**
   * Ends workers as SIGTERM does: each answers, takes no more jobs, waits for those that run, gives back those that run
   * too long, and closes its app, if that has no other worker. A process that has nothing else to do ends by itself.
   */
  shutdown(
    options?: AskOptions & {
      /** How long workers wait for jobs that run; 0: not at all. Default: the `shutdownTimeout` of each. */
      jobsTimeout?: Duration | undefined;
    },
  ): Promise<Answers<ShuttingDown>>;
}

export interface ControlDependencies {
  readonly asking: WorkerQuery;
  /** Handles of jobs of any of the app's queues, and of those that its workers serve. @throws {InvalidOptionError} */
  readonly results: (ids: readonly string[]) => Promise<readonly AsyncResult<unknown>[]>;
  readonly revokeByTag: (query: { tag: string; terminate: boolean }) => Promise<number>;
  /** @throws {UnknownQueueError} */
  readonly queue: (name: string) => Promise<QueueHandle>;
}

const MAX_IDS = 100_000;
/** Handles that are revoked at a time. */
const AT_ONCE = 50;

/** @param dependencies Those of the app that is meant when something is told: a test's, while it stands in. */
export function controlOf(dependencies: () => ControlDependencies): Control {
  const revoke = async (id: string | readonly string[], terminate: boolean): Promise<number> => {
    const handles = await dependencies().results(idList(id));
    let count = 0;
    const errors: unknown[] = [];
    for (let at = 0; at < handles.length; at += AT_ONCE) {
      const slice = handles.slice(at, at + AT_ONCE).map((handle) => handle.revoke({ terminate }));
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
    async setConcurrency(concurrency, given = {}) {
      const { queue, ...options } = checkOptions(given, { ...ASK_OPTIONS, queue: true });
      concurrencyBounds('concurrency', concurrency);
      if (queue !== undefined) checkQueue('queue', queue);
      return dependencies().asking.ask('set-concurrency', { concurrency, queue }, readControlResult, options);
    },
    async addQueue(queue, given = {}) {
      const { concurrency, ...options } = checkOptions(given, { ...ASK_OPTIONS, concurrency: true });
      checkQueue('queue', queue);
      if (concurrency !== undefined) concurrencyBounds('concurrency', concurrency);
      return dependencies().asking.ask('add-queue', { queue, concurrency }, readControlResult, options);
    },
    async cancelQueue(queue, options) {
      checkQueue('queue', queue);
      return dependencies().asking.ask('cancel-queue', { queue }, readControlResult, options);
    },
    async shutdown(given = {}) {
      const { jobsTimeout, ...options } = checkOptions(given, { ...ASK_OPTIONS, jobsTimeout: true });
      const jobsTimeoutMs =
        jobsTimeout === undefined
          ? undefined
          : checkInteger('jobsTimeout', durationMs(jobsTimeout, 'jobsTimeout'), 0, LONGEST_MS);
      return dependencies().asking.ask('shutdown', { jobsTimeoutMs }, readShuttingDown, options);
    },
  };
}

/** What a timer takes at most. */
export const LONGEST_MS = 2 ** 31 - 1;

function idList(id: string | readonly string[]): readonly string[] {
  const ids = typeof id === 'string' ? [id] : id;
  if (!Array.isArray(ids) || ids.length > MAX_IDS)
    throw new InvalidOptionError('id', `an id, or a list of at most ${MAX_IDS} ids`, id);
  return [...new Set(ids.map((one: string) => checkText('id', one, 1000)))];
}
