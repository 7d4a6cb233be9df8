import type { TaskFailedError } from '../base/errors.js';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { Duration } from '../base/time.js';
import type { FailureRecord } from '../codec/error-record.js';
import type { JobState } from '../job/states.js';
import type { FailuresOf, ProgressOf, StatesOf } from '../task/types/task.js';
import type { RunGraph } from '../workflow/graph.js';
import type { RunCounts } from '../workflow/graph-tally.js';

export interface GetOptions {
  /** Longest wait. Default: no limit. */
  timeout?: Duration | undefined;
  /**
   * Ends the wait early; the job itself goes on. `get` and `outcome` reject with the signal's reason. An iteration
   * (`progress`, `members`, `collect`) ends without an error, as by `break`; `signal.aborted` tells it from the end.
   */
  signal?: AbortSignal | undefined;
  /** Waits also inside of a task's handler, where it is refused otherwise. Default false. */
  allowInTask?: boolean | undefined;
}

export interface RevokeOptions {
  /** Also gives up an attempt that runs: its `ctx.signal` is aborted. Default false. */
  terminate?: boolean | undefined;
}

export interface ResumeOptions {
  /**
   * Other inputs for steps that run again, each the whole input of its task, by the id of the step or by its path in the
   * run (`'0-1'` for the step with the id `<run>.0-1`). Checked against the tasks' schemas before anything is changed.
   */
  inputs?: Readonly<Record<string, unknown>> | undefined;
}

/** How a job ended, for those who want no exception. A declared failure is told by its name, with its data. */
export type Outcome<Out, Extras = {}> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly failure: undefined; readonly error: TaskFailedError }
  | {
      [Failure in keyof FailuresOf<Extras> & string]: {
        readonly ok: false;
        readonly failure: Failure;
        readonly data: FailuresOf<Extras>[Failure];
        readonly error: TaskFailedError;
      };
    }[keyof FailuresOf<Extras> & string];

/** What the store knows of a job. */
export interface JobInfo {
  readonly id: string;
  /** The task's name; `'unknown'` if it cannot be read. */
  readonly task: string;
  readonly displayName: string;
  readonly queue: string;
  /** Attempts that have ended. */
  readonly attempts: number;
  /** 1970, if it cannot be read. */
  readonly enqueuedAt: Date;
  /** When the last attempt began. */
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
  readonly headers: Readonly<Record<string, string>>;
  readonly runId?: string;
  readonly rootId: string;
  readonly parentId?: string;
}

/** A handle to the outcome of a job or of a run. Not awaitable itself, so that no wait happens by accident. */
export interface AsyncResult<out Out, out Extras = {}, out Member = MemberOf<Out>> {
  /** The job's id; for a composition, the run's. */
  readonly id: string;
  /** Where the job stands now: a state of every job, or one of the task's own that its handler shows. */
  state(): Promise<JobState | StatesOf<Extras>>;
  /**
   * The result, once there is one. A task without a result gives `null`.
   * @throws {TaskFailedError} if the task, or a step of the run, failed for good; the original error is its `cause`.
   * @throws {TimeoutError} after `timeout`.
   * @throws {ClosedError} if the app is closed before there is a result.
   * @throws {UnknownJobError} if the store does not hold the job (any more).
   * @throws {JobStateError} inside of a task's handler, unless `allowInTask` is set: it would hold a place in its worker
   * that what it waits for may need.
   */
  get(options?: GetOptions): Promise<Out>;
  /** As `get`, but a failure of the task is given and not thrown. @throws the other errors of `get`. */
  outcome(options?: GetOptions): Promise<Outcome<Out, Extras>>;
  /**
   * What the handler reports, as it does: the latest value first, if there is one, until the job ends. Values that come
   * faster than they are taken are left out, the last one never. Of a run, its counts as they change: `RunCounts`.
   * @throws {TimeoutError} after `timeout`. @throws {UnknownJobError} as `get`.
   */
  progress(options?: GetOptions): AsyncIterableIterator<ProgressOf<Extras>>;
  /**
   * The tasks that the job, or the run, consists of: their order, states and times, as they are now. Equal members of
   * large groups are counted and not read. What is gone from the store is `unknown`.
   * @throws {UnknownJobError} if the store does not hold the job.
   */
  graph(): Promise<RunGraph>;
  /** How far the tasks of a run have come; callbacks are none of them. @throws as `graph`. */
  counts(): Promise<RunCounts>;
  /**
   * The members of the group that gives the result, as they end, each once; in bounded memory whatever their number. Of
   * a run that has failed, those that had ended by then. A result that no group gives is told once it is there: item
   * by item, or value by value.
   * @throws as `get`.
   */
  members(options?: GetOptions): AsyncIterableIterator<MemberOutcome<Member>>;
  /** As `members()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<MemberOutcome<Member>>;
  /**
   * Some of those members in declared order, with what is known of them now. Without those that others have added.
   * @throws as `graph`.
   */
  page(options?: PageOptions): Promise<PageEntry<Member>[]>;
  /**
   * Every task of the run as it ends, each once; steps inside a member of a large group when that member has ended.
   * Skipped tasks are left out. Of a run that has failed, those that had ended by then.
   * @throws as `members`.
   */
  collect(options?: GetOptions): AsyncIterableIterator<CollectedTask>;
  /** The tasks whose results the job waits for, or the run's result comes from: the first 1,000. @throws as `graph`. */
  children(): Promise<AsyncResult<unknown>[]>;
  /** The task, or the run, that waits for the job. @throws as `graph`. */
  parent(): Promise<AsyncResult<unknown> | undefined>;
  /** Attempts, times, headers. @throws {UnknownJobError} if the store does not hold the job. */
  info(): Promise<JobInfo>;
  /** Lines that the handler has logged, oldest first. */
  logs(): Promise<string[]>;
  /**
   * Keeps the job from starting, for good, also in a run the steps that have not started: its state is `revoked`. One
   * that runs goes on, unless `terminate` is set: then its `ctx.signal` is aborted, and whatever it gives is ignored. A
   * run that has ended keeps its state and its result; what it has left behind, since it failed early or had enough, is
   * revoked all the same. Gives false if nothing was left to revoke.
   * @throws {UnknownJobError} if the store does not hold the job.
   */
  revoke(options?: RevokeOptions): Promise<boolean>;
  /**
   * Runs what has failed again, with all its attempts and without the marks of a revocation or an expiry, and then what
   * waits for it; what has succeeded keeps its result. Whoever waits for this handle gets the new outcome. Callbacks that
   * were sent are not sent again. Gives the number of jobs that run again.
   * @example await result.resume({ inputs: { '0-1': { to: 'ada@example.com' } } });
   * @throws {JobStateError} unless it has failed, or if it is a step of a run: resume that; or if an input is given for a
   * step that has succeeded, or does not run again.
   * @throws {UnknownJobError} if the store does not hold the job.
   * @throws {InvalidOptionError} if `inputs` names no step of the run, or one whose task is not known here.
   * @throws {ValidationError} if an input does not fit the task of its step. Then nothing is changed.
   */
  resume(options?: ResumeOptions): Promise<number>;
  /**
   * Removes the job and its result from the store now, instead of after `resultTtl`.
   * @throws {JobStateError} unless it has ended: revoke it first.
   */
  forget(): Promise<void>;
}

// The options of handles, which are read in the same way by those of jobs and of what needed no job.

const GET: OptionNames<GetOptions> = { timeout: true, signal: true, allowInTask: true };
const PAGE: OptionNames<PageOptions> = { offset: true, limit: true };
const REVOKE: OptionNames<RevokeOptions> = { terminate: true };

/** Members that are read at most. */
const MAX_LIMIT = 10_000;

/** A part of the members, in declared order. */
export interface Range {
  readonly offset: number;
  readonly limit: number;
}

/** @throws {InvalidOptionError} */
export function checkGet(options: GetOptions): GetOptions {
  return checkOptions(options, GET);
}

/** @throws {InvalidOptionError} unless they are whole numbers. */
export function rangeOf(options: PageOptions): Range {
  const { offset = 0, limit = 100 } = checkOptions(options, PAGE);
  return {
    offset: checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER),
    limit: checkInteger('limit', limit, 1, MAX_LIMIT),
  };
}

/** Whether attempts that run are given up, too. @throws {InvalidOptionError} */
export function isTerminating(options: RevokeOptions): boolean {
  const { terminate = false } = checkOptions(options, REVOKE);
  return checkBoolean('terminate', terminate);
}

// How the members of a group end, one by one.

/** What the members of a group give whose results are `Out`: its items, or its values; another value is one member. */
export type MemberOf<Out> = Out extends readonly unknown[]
  ? Out[number]
  : Out extends object
    ? Out[keyof Out]
    : Out;

interface Place {
  /** In declared order, from 0. Members that others have added come after those. */
  readonly index: number;
  /** Of a record. */
  readonly key?: string;
}

/** How a member has ended. */
export type MemberOutcome<Value> =
  | (Place & { readonly ok: true; readonly value: Value })
  | (Place & { readonly ok: false; readonly error: FailureRecord });

/** A member as it is now. */
export type PageEntry<Value> = MemberOutcome<Value> | (Place & { readonly pending: true });

export interface PageOptions {
  /** The first member that is read. Default: 0. */
  offset?: number | undefined;
  /** How many are read. Default: 100. */
  limit?: number | undefined;
}

/** How a task of a run has ended. */
export type CollectedTask =
  | { readonly id: string; readonly task: string; readonly ok: true; readonly value: unknown }
  | { readonly id: string; readonly task: string; readonly ok: false; readonly error: FailureRecord };
