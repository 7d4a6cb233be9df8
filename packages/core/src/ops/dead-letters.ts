/**
 * This module implements `app.deadLetters`: it lists failed jobs, and replays or discards them, one by one or in bulk.
 */
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
import { knownStanding, logsOf, queueOfJob, storedStateOf } from '../store/read.js';
import { type JobReplay, replayJob } from '../store/resume.js';
import { removeJob } from '../store/revoke.js';
import type { Store } from '../store/store.js';
import { momentOf, type StoredJob } from '../store/stored-job.js';
import {
  checkListPage,
  cursorOf,
  type DeadLetterFilter,
  type DeadLetterPageQuery,
  type DeadLetterQuery,
  type DeadLetterSearch,
  deadLetterSearchOf,
  type ErrorGroupQuery,
  GROUP_OPTIONS,
  LIST_OPTIONS,
  PAGE_OPTIONS,
} from './dead-letter-query.js';
import { ErrorGrouping, type ErrorGroups, errorGroupId } from './error-groups.js';
import type { Page } from './job-query.js';

// Descriptions of failed jobs

/** A job that has failed for good. */
export interface DeadLetter {
  readonly id: string;
  /** The task's name; `'unknown'` if it cannot be read. */
  readonly task: string;
  readonly queue: string;
  readonly state: 'failed' | 'expired' | 'revoked' | 'skipped';
  /** The input as it was sent; for a step, the bound part. `undefined` if it cannot be read. */
  readonly input: unknown;
  readonly attempts: number;
  /** If the time cannot be read: that of the previous dead letter in the list, or 1970. */
  readonly failedAt: Date;
  /** The error with its causes and stacks, as far as they are stored. */
  readonly error: ErrorRecord;
  /** The workflow run that the job is a step of. */
  readonly runId?: string;
  /** Continues the list after this dead letter, with the same filter: `list({ cursor })`. */
  readonly cursor: string;
}

/** The times of a job. */
export interface Timeline {
  /** Absent if the time cannot be read. */
  readonly enqueuedAt?: Date;
  /** The last replay. */
  readonly replayedAt?: Date;
  /** The start of the last attempt. Absent if there was none. */
  readonly startedAt?: Date;
  readonly failedAt: Date;
}

/** All facts about a dead letter. `input` is the input of the handler, including the results of earlier steps. */
export interface DeadLetterDetails extends Omit<DeadLetter, 'cursor'> {
  readonly displayName: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly timeline: Timeline;
  /** Lines that the handler has logged, oldest first. */
  readonly logs: readonly string[];
  /** When Umbel noticed that a worker died while it ran the job. Too many of these make a job a poison job. */
  readonly lostStarts: readonly Date[];
  /** The job whose handler sent this job. */
  readonly parentId?: string;
  readonly canReplay: boolean;
  /** Why the job cannot be replayed, and what to do instead. */
  readonly whyNot?: string;
}

/** Returns the description of a failed job in a list. */
function deadLetterOf(failed: FailedJob): DeadLetter {
  return { ...summaryOf(failed, failed.at), cursor: cursorOf(failed) };
}

function summaryOf(
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

/** Returns all facts about a failed job. `logs`: lines that its handler has logged. */
function detailsOf(
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
    ...summaryOf(failed, failedAt),
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

/** Returns why a failed job cannot be replayed, or undefined if it can. `isEdited`: with another input. */
function refusalOf(
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

/** Returns why a job cannot be replayed whose handler succeeded and whose replacement failed. */
function replacedRefusal({ id, envelope }: StoredJob): string | undefined {
  if (envelope?.replacement === undefined) return undefined;
  return (
    `Job ${id} was replaced with ctx.replace, and the replacement failed: resume it, with ` +
    `app.result('${id}').resume(); or run the handler again with another input, with ` +
    `app.deadLetters.replay('${id}', { input }).`
  );
}

/** Whether a failed job is a dead letter that matches the search. */
function matchesSearch({ job, unreadable }: FailedJob, search: DeadLetterSearch): boolean {
  if (!isOwnFailure(job)) return false;
  const { task, tag, state, error, group } = search;
  const { failure, tags = [] } = job.envelope ?? {};
  if (task !== undefined && job.name !== task) return false;
  if (tag !== undefined && !tags.includes(tag)) return false;
  if (state !== undefined && (failure?.state ?? 'failed') !== state) return false;
  if (error === undefined && group === undefined) return true;
  const record = failure?.error ?? reasonOf(job.failedReason, unreadable);
  if (group !== undefined && errorGroupId(record) !== group) return false;
  if (error === undefined) return true;
  const { name, code } = record;
  return name === error || (code !== undefined && String(code) === error);
}

/** Whether a job itself failed. Not: a job it waited for failed, or it was revoked or skipped. */
function isOwnFailure({ id, envelope }: StoredJob): boolean {
  const { failure, after } = envelope ?? {};
  if (failure === undefined) return true;
  if (failure.state === 'revoked' || failure.state === 'skipped') return false;
  return after === undefined || failure.jobId === id;
}

/** Returns the workflow run that a job is a step of. */
function runOf({ envelope }: StoredJob): string | undefined {
  return envelope?.alone ? undefined : envelope?.run;
}

// Bulk changes

interface ManyOptions {
  /** Maximum number of jobs, from 1 to 100,000. Default 1000. */
  limit?: number | undefined;
  /** Only returns what would be done. Default false. */
  dryRun?: boolean | undefined;
}

const MANY: OptionNames<ManyOptions> = { limit: true, dryRun: true };

/** A job that a bulk change skipped. */
export interface SkippedLetter {
  readonly id: string;
  readonly reason: string;
}

interface ManyOutcome {
  readonly done: number;
  readonly skipped: readonly SkippedLetter[];
  readonly cursor: string | undefined;
}

/** Number of jobs that are changed concurrently. */
const CONCURRENCY = 25;

/** @throws {InvalidOptionError} if an option is invalid. */
function checkMany<Options extends ManyOptions>(
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
 * Changes each of the jobs, up to `limit`. A job whose change throws is skipped, with the message as the reason.
 * @throws {ConnectionError} or {ClosedError} if the store cannot be reached, which stops the loop.
 */
async function doMany(
  jobs: AsyncIterable<FailedJob>,
  limit: number,
  change: (job: FailedJob) => Promise<void>,
): Promise<ManyOutcome> {
  const skipped: SkippedLetter[] = [];
  let done = 0;
  let started = 0;
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
    if (started === limit) {
      await flush();
      return { done, skipped, cursor: last && cursorOf(last) };
    }
    started += 1;
    batch.push(job);
    if (batch.length === CONCURRENCY) await flush();
  }
  await flush();
  return { done, skipped, cursor: undefined };
}

export type { DeadLetterFilter, DeadLetterPageQuery, DeadLetterQuery, ErrorGroupQuery };

/** Maximum number of failed jobs that one page reads. */
const MAX_READ_PER_PAGE = 1000;

/** Replaces the input of a job. The new input must fit the schema of the task and the limits, as in `delay`. */
export interface ReplayOptions {
  /** The whole input. */
  input?: unknown;
  /** Returns the whole input, from a copy of the input that the job failed with. Not together with `input`. */
  edit?: ((input: unknown) => unknown) | undefined;
}

/** Options of `app.deadLetters.replayMany`. */
export interface ReplayManyOptions extends ManyOptions {
  /** Returns the whole input of a job, from a copy of the input that it failed with. It is called concurrently. */
  edit?: ((input: unknown, letter: DeadLetter) => unknown) | undefined;
}

/** Options of `app.deadLetters.discardMany`. */
export type DiscardManyOptions = ManyOptions;

const REPLAY: OptionNames<ReplayOptions> = { input: true, edit: true };
const REPLAY_MANY: OptionNames<ReplayManyOptions> = { ...MANY, edit: true };

/** The result of `replayMany`. */
export interface ReplayCounts {
  /** Number of jobs that run again; with `dryRun`, that would run again. */
  readonly replayed: number;
  /** Jobs that were not changed. */
  readonly skipped: readonly SkippedLetter[];
  /** Present if `limit` was reached before the end. To continue: `replayMany({ …, cursor })`. */
  readonly cursor?: string;
}

/** The result of `discardMany`. */
export interface DiscardCounts {
  /** Number of jobs that were removed; with `dryRun`, that would be removed. */
  readonly discarded: number;
  readonly skipped: readonly SkippedLetter[];
  /** Jobs that were not removed, each with the reason. */
  readonly cursor?: string;
}

/**
 * The failed jobs of an app, which the store keeps for `failureTtl`.
 *
 * @example
 * for (const { id, task, error } of await app.deadLetters.list({ task: 'mail.send' })) console.log(id, task, error.message);
 * const { replayed, skipped } = await app.deadLetters.replayMany({ error: 'TIME_LIMIT' });
 */
export interface DeadLetters {
  /**
   * Returns the failed jobs of all queues, latest first. Steps that did not run because an earlier step failed, and
   * revoked and skipped jobs are not included.
   * @throws {InvalidOptionError} if the query is invalid.
   */
  list(query?: DeadLetterQuery): Promise<DeadLetter[]>;
  /**
   * Returns one page of the same list. It reads at most 1,000 failed jobs, so it may have fewer items than `limit`, or none,
   * even if more pages follow. `cursor` continues, with the same filter.
   * @throws {InvalidOptionError} if the query is invalid.
   */
  page(query?: DeadLetterPageQuery): Promise<Page<DeadLetter>>;
  /**
   * Groups failed jobs by their errors: the same name and code, thrown at the same place of the user's code. It reads the
   * latest 1,000 failed jobs (`maxRead`), and returns a `cursor` if there are more.
   * @throws {InvalidOptionError} if the query is invalid.
   * @example
   * const { groups } = await app.deadLetters.groups({ since: new Date(Date.now() - 3_600_000) });
   * for (const { name, frame, count } of groups) console.log(count, name, frame);
   * for (const { id } of groups.slice(0, 1)) await app.deadLetters.replayMany({ group: id });
   */
  groups(query?: ErrorGroupQuery): Promise<ErrorGroups>;
  /**
   * Returns all facts about a failed job, also about a revoked one, which `replay` can start.
   * @throws {UnknownJobError} if no queue holds the job. @throws {JobStateError} if it has not failed.
   */
  get(id: string): Promise<DeadLetterDetails>;
  /**
   * Runs a failed job again under the same id, with all its attempts, so that waiting callers get the result. Another
   * input is checked first, and stored before the job is queued. A job that called `ctx.replace` must be resumed instead;
   * with another input its handler runs again, and its replacement is dropped. Of several concurrent replays of one job
   * only one succeeds. Callbacks were sent when the job failed, and are not sent again.
   * @throws {UnknownJobError} if no queue holds the job.
   * @throws {JobStateError} if the job has not failed, is being replayed by another caller, is a step of a run that failed
   * with it, was replaced and is not edited, or is edited and does not store its whole input.
   * @throws {ValidationError} if the input does not fit. If this process does not know the task, the worker checks it.
   * @throws {CorruptJobError} if the job, or the input to edit, cannot be read.
   */
  replay(id: string, options?: ReplayOptions): Promise<void>;
  /**
   * Replays the selected jobs, latest first, several concurrently. A job that fails again meanwhile is not replayed
   * twice. `skipped` has the id and the reason of each job that was refused.
   * @throws {ConnectionError} if the store cannot be reached. Jobs that were replayed before run.
   */
  replayMany(filter: DeadLetterFilter, options?: ReplayManyOptions): Promise<ReplayCounts>;
  /**
   * Removes a failed job, also one that cannot be read.
   * @throws {UnknownJobError} if no queue holds the job. @throws {JobStateError} if it has not failed.
   */
  discard(id: string): Promise<void>;
  /** Removes the selected jobs, latest first, several concurrently. @throws as `replayMany`. */
  discardMany(filter: DeadLetterFilter, options?: DiscardManyOptions): Promise<DiscardCounts>;
}

/** Dependencies of `deadLetters`, read at each call. */
export interface DeadLetterDependencies {
  readonly store: Store;
  readonly now: () => number;
  /** @throws {ValidationError} if an input does not fit its task. */
  readonly check: (task: string, input: unknown) => Promise<void>;
}

/** Returns `app.deadLetters`. `queues` returns the queues that the app knows now. */
export function deadLetters(
  dependenciesNow: () => DeadLetterDependencies,
  queues: () => readonly string[],
): DeadLetters {
  async function find(store: Store, id: string): Promise<Pick<FailedJob, 'job' | 'unreadable'>> {
    if (!isJobId(id)) throw new UnknownJobError(id, undefined);
    const queue = await queueOfJob(store, queues(), id);
    if (queue === undefined) throw new UnknownJobError(id, undefined);
    const { state } = await knownStanding(store, { queue, id });
    if (state !== 'failed' && state !== 'unknown')
      throw new JobStateError(`Job ${id} is ${state}, not failed.`);
    const found = await readFailed(store, queue, id);
    if (found === undefined) throw new UnknownJobError(id, undefined);
    return found;
  }

  /** Yields the failed jobs in the time and the queues of a search, matching or not. */
  async function* failedIn(store: Store, search: DeadLetterSearch): AsyncGenerator<FailedJob> {
    const { queue } = search;
    const searched = queue === undefined ? queues().filter((name) => name !== INTERNAL_QUEUE) : [queue];
    for await (const failed of failedJobs(store, searched, search)) {
      if (failed.at < search.sinceMs) return;
      yield failed;
    }
  }

  async function* failedMatching(store: Store, search: DeadLetterSearch): AsyncGenerator<FailedJob> {
    for await (const failed of failedIn(store, search)) if (matchesSearch(failed, search)) yield failed;
  }

  function replay(
    { store, now, check }: DeadLetterDependencies,
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
      const search = deadLetterSearchOf(query, LIST_OPTIONS);
      const { limit, offset } = checkListPage(query);
      const listed: DeadLetter[] = [];
      let count = 0;
      for await (const failed of failedMatching(dependenciesNow().store, search)) {
        count += 1;
        if (count <= offset) continue;
        listed.push(deadLetterOf(failed));
        if (listed.length === limit) break;
      }
      return listed;
    },
    async page(query = {}) {
      const search = deadLetterSearchOf(query, PAGE_OPTIONS);
      const { limit } = checkListPage(query);
      const items: DeadLetter[] = [];
      let read = 0;
      for await (const failed of failedIn(dependenciesNow().store, search)) {
        read += 1;
        if (matchesSearch(failed, search)) items.push(deadLetterOf(failed));
        if (items.length === limit || read === MAX_READ_PER_PAGE) return { items, cursor: cursorOf(failed) };
      }
      return { items };
    },
    async groups(query = {}) {
      const search = deadLetterSearchOf(query, GROUP_OPTIONS);
      const maxRead = checkInteger('maxRead', query.maxRead ?? 1000, 1, 10_000);
      const grouping = new ErrorGrouping();
      let read = 0;
      let last: FailedJob | undefined;
      for await (const failed of failedIn(dependenciesNow().store, search)) {
        if (read === maxRead)
          return { groups: grouping.groups, read, ...(last && { cursor: cursorOf(last) }) };
        read += 1;
        last = failed;
        if (!matchesSearch(failed, search)) continue;
        const { id, task, failedAt, error } = summaryOf(failed, failed.at);
        grouping.add({ id, task, failedAt: failedAt.getTime(), error });
      }
      return { groups: grouping.groups, read };
    },
    async get(id) {
      const { store } = dependenciesNow();
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
      const dependencies = dependenciesNow();
      await replay(dependencies, await find(dependencies.store, id), edit);
    },
    async replayMany(filter, options = {}) {
      const search = deadLetterSearchOf(filter);
      const { edit } = options;
      if (edit !== undefined) checkEdit(edit);
      const { limit, dryRun } = checkMany(options, REPLAY_MANY);
      const dependencies = dependenciesNow();
      const found = failedMatching(dependencies.store, search);
      const { done, skipped, cursor } = await doMany(found, limit, async (failed) => {
        const editInput = edit && ((input: unknown) => edit(input, deadLetterOf(failed)));
        await replay(dependencies, failed, editInput, dryRun);
      });
      return { replayed: done, skipped, ...(cursor !== undefined && { cursor }) };
    },
    async discard(id) {
      const { store } = dependenciesNow();
      const { job } = await find(store, id);
      await removeJob(store, { queue: job.queue, id });
    },
    async discardMany(filter, options = {}) {
      const search = deadLetterSearchOf(filter);
      const { limit, dryRun } = checkMany(options, MANY);
      const { store } = dependenciesNow();
      const found = failedMatching(store, search);
      const { done, skipped, cursor } = await doMany(found, limit, async ({ queue, id }) => {
        const state = await storedStateOf(store, { queue, id });
        if (state === 'unknown') throw new UnknownJobError(id, queue);
        if (state !== 'failed') throw new JobStateError(`Job ${id} is ${state}, not failed.`);
        if (!dryRun) await removeJob(store, { queue, id });
      });
      return { discarded: done, skipped, ...(cursor !== undefined && { cursor }) };
    },
  };
}

/** Returns the function that changes the input, if any. @throws {InvalidOptionError} if the options are invalid. */
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
  check: DeadLetterDependencies['check'],
): JobReplay['edit'] {
  return async (input) => {
    const next = await edit(input);
    if (next === undefined) throw new InvalidOptionError('edit', 'a function that returns the input', next);
    await check(name, next);
    return next;
  };
}
