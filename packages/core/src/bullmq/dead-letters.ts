import { InvalidOptionError, JobStateError, UnknownJobError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import { type FailedJob, failedJobs, readFailed } from './dead-letters/failed-jobs.js';
import {
  type DeadLetter,
  type DeadLetterDetails,
  detailsOf,
  isWanted,
  letterOf,
  refusalOf,
  type Timeline,
} from './dead-letters/letter.js';
import { checkMany, doMany, MANY, type ManyOptions, type SkippedLetter } from './dead-letters/many.js';
import {
  checkPage,
  type DeadLetterFilter,
  type DeadLetterQuery,
  type Wanted,
  wantedOf,
} from './dead-letters/query.js';
import { isJobId } from './job-id.js';
import type { JobReplay } from './replay-job.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

export type { DeadLetter, DeadLetterDetails, DeadLetterFilter, DeadLetterQuery, SkippedLetter, Timeline };

/** Another input to run a job with. It has to fit the task's schema and the limits, as one that is sent. */
export interface ReplayOptions {
  /** The whole input. */
  input?: unknown;
  /** Gives the whole input, from a copy of the one that the job failed with. Not together with `input`. */
  edit?: ((input: unknown) => unknown) | undefined;
}

export interface ReplayManyOptions extends ManyOptions {
  /** Gives the whole input of a job, from a copy of the one that it failed with. Of several, some may be edited at once. */
  edit?: ((input: unknown, letter: DeadLetter) => unknown) | undefined;
}

export type DiscardManyOptions = ManyOptions;

const REPLAY: OptionNames<ReplayOptions> = { input: true, edit: true };
const REPLAY_MANY: OptionNames<ReplayManyOptions> = { ...MANY, edit: true };

/** What came of many replays. */
export interface ReplayCounts {
  /** Jobs that run again; with `dryRun`, that would. */
  readonly replayed: number;
  /** Those that were left as they are. */
  readonly skipped: readonly SkippedLetter[];
  /** Where to go on, if `limit` was reached before the last one: `replayMany({ …, cursor })`. */
  readonly cursor?: string;
}

/** What came of many removals. */
export interface DiscardCounts {
  /** Jobs that were removed; with `dryRun`, that would be. */
  readonly discarded: number;
  readonly skipped: readonly SkippedLetter[];
  /** As in `ReplayCounts`. */
  readonly cursor?: string;
}

/** The failed jobs of an app, which the store keeps for `failureTtl`. */
export interface DeadLetters {
  /**
   * Those that failed last come first, over all queues. Not steps that never ran because an earlier one had failed, and
   * no jobs that were revoked, or skipped as they were not needed any more.
   * @throws {InvalidOptionError} if the query has a value it cannot have.
   */
  list(query?: DeadLetterQuery): Promise<DeadLetter[]>;
  /**
   * All that is known of one, also of a revoked job, which `replay` starts after all.
   * @throws {UnknownJobError} if no queue holds it. @throws {JobStateError} if it has not failed.
   */
  get(id: string): Promise<DeadLetterDetails>;
  /**
   * Runs a failed job again, with all its attempts, under the same id, so that whoever waits for it gets the result.
   * With another input, that is checked first, and stored before the job is queued. A call that has put something in its
   * place (`ctx.replace`) is resumed rather than replayed; with another input its handler runs again, and what stood in
   * its place is dropped. Of several replays of one job at
   * once, one does it. Its callbacks were sent when it failed, and are not sent again.
   * @throws {UnknownJobError} if no queue holds it.
   * @throws {JobStateError} if it has not failed, is replayed by somebody else at the same moment, is a step of a
   * composition that has failed with it, has put something in its place and is not edited, or is to be edited and does not hold its whole input.
   * @throws {ValidationError} if the input does not fit; of a task that this process does not know, the worker looks.
   * @throws {CorruptJobError} if it, or the input that is to be edited, cannot be read.
   */
  replay(id: string, options?: ReplayOptions): Promise<void>;
  /**
   * Replays those that are asked for, the latest first, some at a time. What fails again meanwhile is not replayed
   * twice. What one is refused for is told with its id.
   * @throws {ConnectionError} if the store cannot be reached; those that were replayed by then run.
   */
  replayMany(filter: DeadLetterFilter, options?: ReplayManyOptions): Promise<ReplayCounts>;
  /**
   * Removes a failed job, also one that cannot be read.
   * @throws {UnknownJobError} if no queue holds it. @throws {JobStateError} if it has not failed.
   */
  discard(id: string): Promise<void>;
  /** Removes those that are asked for, the latest first, some at a time. @throws as `replayMany`. */
  discardMany(filter: DeadLetterFilter, options?: DiscardManyOptions): Promise<DiscardCounts>;
}

/** What of an app the dead letters need, at the moment of a call. */
export interface DeadLetterParts {
  readonly store: Store;
  readonly now: () => number;
  /** @throws {ValidationError} if an input does not fit its task. */
  readonly check: (task: string, input: unknown) => Promise<void>;
}

export function deadLetters(partsNow: () => DeadLetterParts, queues: () => readonly string[]): DeadLetters {
  async function find(store: Store, id: string): Promise<Pick<FailedJob, 'job' | 'unreadable'>> {
    if (!isJobId(id)) throw new UnknownJobError(id, undefined);
    for (const queue of queues()) {
      const state = await store.on(queue, (bull) => bull.getJobState(id));
      if (state === 'unknown') continue;
      if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
      const found = await readFailed(store, queue, id);
      if (found !== undefined) return found;
    }
    throw new UnknownJobError(id, undefined);
  }

  async function* search(store: Store, wanted: Wanted): AsyncGenerator<FailedJob> {
    const { queue } = wanted;
    const among = queue === undefined ? queues().filter((name) => name !== INTERNAL_QUEUE) : [queue];
    for await (const failed of failedJobs(store, among, wanted)) {
      if (failed.at < wanted.sinceMs) return;
      if (isWanted(failed, wanted)) yield failed;
    }
  }

  function replay(
    { store, now, check }: DeadLetterParts,
    failed: Pick<FailedJob, 'job' | 'unreadable'>,
    edit: ((input: unknown) => unknown) | undefined,
    isDry = false,
  ): Promise<void> {
    const refusal = refusalOf(failed, edit !== undefined);
    if (refusal !== undefined) throw new JobStateError(refusal);
    const options = { now: now(), isDry, edit: edit && checked(failed.job, edit, check) };
    return store.replay(failed.job.queue, failed.job.id, options);
  }

  return {
    async list(query = {}) {
      const wanted = wantedOf(query, true);
      const { limit, offset } = checkPage(query);
      const letters: DeadLetter[] = [];
      let place = 0;
      for await (const failed of search(partsNow().store, wanted)) {
        place += 1;
        if (place <= offset) continue;
        letters.push(letterOf(failed));
        if (letters.length === limit) break;
      }
      return letters;
    },
    async get(id) {
      const { store } = partsNow();
      const failed = await find(store, id);
      const { queue } = failed.job;
      const [logs, { input }] = await Promise.all([
        store.logs(queue, id),
        store.collectInput(failed.job, false),
      ]);
      return { ...detailsOf(failed, logs), input };
    },
    async replay(id, options = {}) {
      const edit = editOf(options);
      const parts = partsNow();
      await replay(parts, await find(parts.store, id), edit);
    },
    async replayMany(filter, options = {}) {
      const wanted = wantedOf(filter);
      const { edit } = options;
      if (edit !== undefined) checkEdit(edit);
      const { limit, dryRun } = checkMany(options, REPLAY_MANY);
      const parts = partsNow();
      const { done, skipped, cursor } = await doMany(search(parts.store, wanted), limit, async (failed) => {
        const own = edit && ((input: unknown) => edit(input, letterOf(failed)));
        await replay(parts, failed, own, dryRun);
      });
      return { replayed: done, skipped, ...(cursor !== undefined && { cursor }) };
    },
    async discard(id) {
      const { store } = partsNow();
      const { job } = await find(store, id);
      await store.remove(job.queue, id);
    },
    async discardMany(filter, options = {}) {
      const wanted = wantedOf(filter);
      const { limit, dryRun } = checkMany(options, MANY);
      const { store } = partsNow();
      const { done, skipped, cursor } = await doMany(search(store, wanted), limit, async ({ queue, id }) => {
        const state = await store.on(queue, (bull) => bull.getJobState(id));
        if (state === 'unknown') throw new UnknownJobError(id, queue);
        if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
        if (!dryRun) await store.remove(queue, id);
      });
      return { discarded: done, skipped, ...(cursor !== undefined && { cursor }) };
    },
  };
}

/** How the input is changed; undefined if it is not. @throws {InvalidOptionError} */
function editOf(options: ReplayOptions): ((input: unknown) => unknown) | undefined {
  const { input, edit } = checkOptions(options, REPLAY);
  if (!('input' in options)) return edit === undefined ? undefined : checkEdit(edit);
  if (edit !== undefined) throw new InvalidOptionError('edit', 'absent when `input` is given', edit);
  if (input === undefined) throw new InvalidOptionError('input', 'a value', input);
  return () => input;
}

function checkEdit<Edit>(edit: Edit): Edit {
  if (typeof edit !== 'function')
    throw new InvalidOptionError('edit', 'a function that gives the input', edit);
  return edit;
}

function checked(
  { name }: StoredJob,
  edit: (input: unknown) => unknown,
  check: DeadLetterParts['check'],
): JobReplay['edit'] {
  return async (input) => {
    const next = await edit(input);
    if (next === undefined) throw new InvalidOptionError('edit', 'a function that gives the input', next);
    await check(name, next);
    return next;
  };
}
