import {
  type ErrorRecord,
  InvalidOptionError,
  isUmbelError,
  JobStateError,
  UnknownJobError,
} from '../base/errors.js';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isJobId } from '../job/ids.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { type FailedJob, failedJobs, readFailed } from '../store/failed-jobs.js';
import { collectInput } from '../store/job-input.js';
import { logsOf, storedStateOf } from '../store/read.js';
import type { JobReplay } from '../store/replay.js';
import { replayJob } from '../store/replay.js';
import { removeJob } from '../store/revoke.js';
import type { Store } from '../store/store.js';
import { momentOf, type StoredJob } from '../store/stored-job.js';
import {
  checkPage,
  cursorOf,
  type DeadLetterFilter,
  type DeadLetterQuery,
  type DeadLetterSearch,
  deadLetterSearchOf,
} from './dead-letter-query.js';

// Dead letters as they are told.

/** A job that has failed for good. */
export interface DeadLetter {
  readonly id: string;
  /** The task's name; `'unknown'` if it cannot be read. */
  readonly task: string;
  readonly queue: string;
  readonly state: 'failed' | 'expired' | 'revoked' | 'skipped';
  /** As it was sent; undefined if it cannot be read. Of a step, what is bound of it. */
  readonly input: unknown;
  readonly attempts: number;
  /** Of one whose time cannot be read, that of the one before it in the list, or 1970. */
  readonly failedAt: Date;
  /** With its causes and stacks, as far as they were kept. */
  readonly error: ErrorRecord;
  /** The composition it is a step of. */
  readonly runId?: string;
  /** To go on after this one, with the same filter: `list({ cursor })`. */
  readonly cursor: string;
}

/** What happened to a job, and when. */
export interface Timeline {
  /** Absent if it cannot be read. */
  readonly enqueuedAt?: Date;
  /** When it was replayed last. */
  readonly replayedAt?: Date;
  /** When the last attempt began; absent if there was none. */
  readonly startedAt?: Date;
  readonly failedAt: Date;
}

/** All that is known of a dead letter. Its `input` is as the handler got it, also with what earlier steps have given. */
export interface DeadLetterDetails extends Omit<DeadLetter, 'cursor'> {
  readonly displayName: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly timeline: Timeline;
  /** Lines that its handler has logged, oldest first. */
  readonly logs: readonly string[];
  /** When it was noticed that its worker had ended before its handler did: why it is poison, or is coming to it. */
  readonly lostStarts: readonly Date[];
  /** The job whose handler sent it. */
  readonly parentId?: string;
  readonly canReplay: boolean;
  /** Why it cannot be replayed, and what to do instead. */
  readonly whyNot?: string;
}

export function letterOf(failed: FailedJob): DeadLetter {
  return { ...outlined(failed, failed.at), cursor: cursorOf(failed) };
}

function outlined(
  { job, unreadable }: Pick<FailedJob, 'job' | 'unreadable'>,
  at: number,
): Omit<DeadLetter, 'cursor'> {
  const { id, name, queue, envelope, attempts, failedReason } = job;
  const run = runOf(job);
  return {
    id,
    task: name,
    queue,
    state: envelope?.failure?.state ?? 'failed',
    input: envelope?.input,
    attempts,
    failedAt: new Date(at),
    error: envelope?.failure?.error ?? reasonOf(failedReason, unreadable),
    ...(run !== undefined && { runId: run }),
  };
}

function reasonOf(reason: string | undefined, unreadable: string | undefined): ErrorRecord {
  if (unreadable === undefined) return { name: 'Error', message: reason ?? '' };
  return {
    name: 'CorruptJobError',
    code: 'CORRUPT_JOB',
    message: reason ?? `It cannot be read: ${unreadable}.`,
  };
}

export function detailsOf(
  failed: Pick<FailedJob, 'job' | 'unreadable'>,
  logs: readonly string[],
): DeadLetterDetails {
  const { job } = failed;
  const { label, headers = {}, tags = [], parent, lost, replayed } = job.envelope ?? {};
  const {
    enqueuedAt = 0,
    startedAt,
    failedAt = 0,
  } = {
    enqueuedAt: momentOf(job.enqueuedAt),
    startedAt: momentOf(job.startedAt),
    failedAt: momentOf(job.finishedAt),
  };
  const whyNot = refusalOf(failed);
  return {
    ...outlined(failed, failedAt),
    displayName: label ?? job.name,
    headers,
    tags,
    timeline: {
      ...(enqueuedAt > 0 && { enqueuedAt: new Date(enqueuedAt) }),
      ...(replayed !== undefined && { replayedAt: new Date(replayed.at) }),
      ...(startedAt !== undefined && { startedAt: new Date(startedAt) }),
      failedAt: new Date(failedAt),
    },
    logs,
    lostStarts: (lost?.fatal ?? lost?.at ?? []).map((at) => new Date(at)),
    ...(parent !== undefined && { parentId: parent }),
    canReplay: whyNot === undefined,
    ...(whyNot !== undefined && { whyNot }),
  };
}

/** Why a failed job cannot be replayed, with its input or another one; undefined if it can. */
export function refusalOf(
  { job, unreadable }: Pick<FailedJob, 'job' | 'unreadable'>,
  isEdited = false,
): string | undefined {
  const { id } = job;
  if (unreadable !== undefined) return `Job ${id} cannot be run: ${unreadable}. It can only be discarded.`;
  const run = runOf(job);
  if (run === undefined) return isEdited ? undefined : replacedRefusal(job);
  return run === id
    ? `Job ${id} is a workflow run: resume it, with app.result('${id}').resume().`
    : `Job ${id} is a step of run ${run}, which failed with it: resume the run, with app.result('${run}').resume().`;
}

/** Its handler has run, and what it has put in its job's place is what failed. */
function replacedRefusal({ id, envelope }: StoredJob): string | undefined {
  if (envelope?.replacement === undefined) return undefined;
  return (
    `Job ${id} was replaced with ctx.replace, and the replacement failed: resume it, with ` +
    `app.result('${id}').resume(); or run the handler again with another input, with ` +
    `app.deadLetters.replay('${id}', { input }).`
  );
}

/** Whether a failed job is a dead letter of its own, and one of those that are asked for. */
export function isWanted({ job, unreadable }: FailedJob, wanted: DeadLetterSearch): boolean {
  if (!isOwnFailure(job)) return false;
  const { task, tag, state, error } = wanted;
  const { failure, tags = [] } = job.envelope ?? {};
  if (task !== undefined && job.name !== task) return false;
  if (tag !== undefined && !tags.includes(tag)) return false;
  if (state !== undefined && (failure?.state ?? 'failed') !== state) return false;
  if (error === undefined) return true;
  const { name, code } = failure?.error ?? reasonOf(job.failedReason, unreadable);
  return name === error || (code !== undefined && String(code) === error);
}

/**
 * Whether a job has failed itself: neither because one that it waited for has, nor because it was revoked, or not needed
 * any more.
 */
function isOwnFailure({ id, envelope }: StoredJob): boolean {
  const { failure, after } = envelope ?? {};
  if (failure === undefined) return true;
  if (failure.state === 'revoked' || failure.state === 'skipped') return false;
  return after === undefined || failure.jobId === id;
}

/** The composition that a job is a step of. */
function runOf({ envelope }: StoredJob): string | undefined {
  return envelope?.alone ? undefined : envelope?.run;
}

// The same for many dead letters, a few at a time.

export interface ManyOptions {
  /** At most so many are taken, from 1 to 100,000. Default 1000. */
  limit?: number | undefined;
  /** Tells what would be done, and changes nothing. Default false. */
  dryRun?: boolean | undefined;
}

export const MANY: OptionNames<ManyOptions> = { limit: true, dryRun: true };

/** One of many for which it was not done. */
export interface SkippedLetter {
  readonly id: string;
  readonly reason: string;
}

export interface ManyOutcome {
  readonly done: number;
  readonly skipped: readonly SkippedLetter[];
  readonly cursor: string | undefined;
}

/** Jobs that are changed at the same time. */
const TOGETHER = 25;

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function checkMany<Options extends ManyOptions>(
  options: Options,
  known: OptionNames<Options>,
): {
  limit: number;
  dryRun: boolean;
} {
  const { limit = 1000, dryRun = false } = checkOptions(options, known);
  return { limit: checkInteger('limit', limit, 1, 100_000), dryRun: checkBoolean('dryRun', dryRun) };
}

/**
 * Does something to each of the jobs, up to `limit` of them. What it throws for one is the reason why that was skipped,
 * but for a store that cannot be reached, which ends it all.
 */
export async function doMany(
  jobs: AsyncIterable<FailedJob>,
  limit: number,
  change: (job: FailedJob) => Promise<void>,
): Promise<ManyOutcome> {
  const skipped: SkippedLetter[] = [];
  let done = 0;
  let taken = 0;
  let last: FailedJob | undefined;
  let batch: FailedJob[] = [];
  const changeOne = async (job: FailedJob) => {
    try {
      await change(job);
      done += 1;
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION') || isUmbelError(error, 'CLOSED')) throw error;
      skipped.push({ id: job.id, reason: error instanceof Error ? error.message : String(error) });
    }
  };
  const flush = async () => {
    await Promise.all(batch.map(changeOne));
    last = batch.at(-1) ?? last;
    batch = [];
  };
  for await (const job of jobs) {
    if (taken === limit) {
      await flush();
      return { done, skipped, cursor: last && cursorOf(last) };
    }
    taken += 1;
    batch.push(job);
    if (batch.length === TOGETHER) await flush();
  }
  await flush();
  return { done, skipped, cursor: undefined };
}

export type { DeadLetterFilter, DeadLetterQuery };

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
      const state = await storedStateOf(store, { queue, id });
      if (state === 'unknown') continue;
      if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
      const found = await readFailed(store, queue, id);
      if (found !== undefined) return found;
    }
    throw new UnknownJobError(id, undefined);
  }

  async function* search(store: Store, wanted: DeadLetterSearch): AsyncGenerator<FailedJob> {
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
    return replayJob(store, failed.job, options);
  }

  return {
    async list(query = {}) {
      const wanted = deadLetterSearchOf(query, true);
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
        logsOf(store, { queue, id }),
        collectInput(store, failed.job, false),
      ]);
      return { ...detailsOf(failed, logs), input };
    },
    async replay(id, options = {}) {
      const edit = editOf(options);
      const parts = partsNow();
      await replay(parts, await find(parts.store, id), edit);
    },
    async replayMany(filter, options = {}) {
      const wanted = deadLetterSearchOf(filter);
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
      await removeJob(store, { queue: job.queue, id });
    },
    async discardMany(filter, options = {}) {
      const wanted = deadLetterSearchOf(filter);
      const { limit, dryRun } = checkMany(options, MANY);
      const { store } = partsNow();
      const { done, skipped, cursor } = await doMany(search(store, wanted), limit, async ({ queue, id }) => {
        const state = await storedStateOf(store, { queue, id });
        if (state === 'unknown') throw new UnknownJobError(id, queue);
        if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
        if (!dryRun) await removeJob(store, { queue, id });
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
    throw new InvalidOptionError('edit', 'a function that returns the input', edit);
  return edit;
}

function checked(
  { name }: StoredJob,
  edit: (input: unknown) => unknown,
  check: DeadLetterParts['check'],
): JobReplay['edit'] {
  return async (input) => {
    const next = await edit(input);
    if (next === undefined) throw new InvalidOptionError('edit', 'a function that returns the input', next);
    await check(name, next);
    return next;
  };
}
