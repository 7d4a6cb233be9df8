/** This module defines the public handle of a job or run, its options, and their checks. `result.ts` implements it. */
import type { TaskFailedError } from '../base/failures.js';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';
import type { Duration } from '../base/time.js';
import type { FailureRecord } from '../codec/error-record.js';
import type { JobState } from '../job/states.js';
import type { FailuresOf, ProgressOf, StatesOf } from '../task/types/task.js';
import type { RunGraph } from '../workflow/graph.js';
import type { RunCounts } from '../workflow/graph-tally.js';

/** Options of waits for a job or a workflow run. */
export interface GetOptions {
  /** Maximum wait; a number means milliseconds. Default: no limit. */
  timeout?: Duration | undefined;
  /**
   * Cancels the wait; the job itself continues. `get` and `outcome` reject with the signal's reason. An iteration
   * (`progress`, `members`, `collect`) ends without an error, as by `break`; check `signal.aborted` afterwards.
   */
  signal?: AbortSignal | undefined;
  /** Allows waiting inside a task's handler, which throws otherwise. Default false. */
  allowInTask?: boolean | undefined;
}

export interface RevokeOptions {
  /** Aborts running attempts too, through their `ctx.signal`. Default false. */
  terminate?: boolean | undefined;
}

/** Options of `resume`. */
export interface ResumeOptions {
  /**
   * New inputs for steps that run again, by step id or by path in the run (`'0-1'` for the step with the id `<run>.0-1`).
   * Each is the whole input of its task. All are checked against the tasks' schemas before anything is changed.
   */
  inputs?: Readonly<Record<string, unknown>> | undefined;
}

/** Outcome of a job as a value instead of an exception. A declared failure has its name and its data. */
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

/** Stored facts about a job. */
export interface JobInfo {
  readonly id: string;
  /** Name of the task; `'unknown'` if it is unreadable. */
  readonly task: string;
  readonly displayName: string;
  readonly queue: string;
  /** Number of attempts that have ended. */
  readonly attempts: number;
  /** 1970 if it is unreadable. */
  readonly enqueuedAt: Date;
  /** Start of the last attempt. */
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
  readonly headers: Readonly<Record<string, string>>;
  readonly runId?: string;
  readonly rootId: string;
  readonly parentId?: string;
}

/**
 * Handle of a job or a workflow run. It is not awaitable itself, so that no wait happens by accident.
 * @example
 * const result = await add.delay({ x: 1, y: 2 });
 * const sum = await result.get({ timeout: '30s' });
 */
export interface AsyncResult<out Out, out Extras = {}, out Member = MemberOf<Out>> {
  /** Id of the job; for a workflow, id of the run. */
  readonly id: string;
  /** Returns the current state: a common job state, or a custom state that the running handler has set. */
  state(): Promise<JobState | StatesOf<Extras>>;
  /**
   * Waits for the result and returns it. A task without a result returns `null`.
   * @example const sum = await result.get({ timeout: '30s' });
   * @throws {TaskFailedError} if the task, or a step of the run, failed permanently; the original error is its `cause`.
   * @throws {TimeoutError} after `timeout`.
   * @throws {ClosedError} if the app is closed before there is a result.
   * @throws {UnknownJobError} if the store does not hold the job (any more).
   * @throws {JobStateError} inside a task's handler, unless `allowInTask` is set: the waiting handler would occupy a slot of
   * its worker that the awaited job may need.
   */
  get(options?: GetOptions): Promise<Out>;
  /**
   * Waits like `get`, but returns a failure of the task instead of throwing it.
   * @example
   * const outcome = await result.outcome();
   * if (outcome.ok) console.log(outcome.value);
   * else console.error(outcome.error);
   * @throws the other errors of `get`.
   */
  outcome(options?: GetOptions): Promise<Outcome<Out, Extras>>;
  /**
   * Yields the progress that the handler reports until the job ends, beginning with the latest value, if there is one.
   * Values that arrive faster than they are consumed are skipped, except the last one. A run yields its counts as they
   * change: `RunCounts`.
   * @example for await (const value of result.progress()) console.log(value);
   * @throws {TimeoutError} after `timeout`. @throws {UnknownJobError} as `get`.
   */
  progress(options?: GetOptions): AsyncIterableIterator<ProgressOf<Extras>>;
  /**
   * Returns the current graph of the job or the run: the order, states and times of its tasks. Equal members of large groups
   * are counted and not read. Jobs that are missing from the store are `unknown`.
   * @throws {UnknownJobError} if the store does not hold the job.
   */
  graph(): Promise<RunGraph>;
  /** Returns the number of tasks of a run by state, without callbacks. @throws as `graph`. */
  counts(): Promise<RunCounts>;
  /**
   * Yields the members of the result's group as they end, each once, in bounded memory for groups of any size. A failed run
   * yields the members that had ended before. If the result does not come from a group, yields its items or values once it
   * exists.
   * @example
   * for await (const member of run.members()) console.log(member.index, member.ok);
   * @throws as `get`.
   */
  members(options?: GetOptions): AsyncIterableIterator<MemberOutcome<Member>>;
  /** Iterates like `members()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<MemberOutcome<Member>>;
  /**
   * Returns a page of the members in declared order with their current outcomes, without members that other members added.
   * @example const first = await run.page({ offset: 0, limit: 20 });
   * @throws as `graph`.
   */
  page(options?: PageOptions): Promise<PageEntry<Member>[]>;
  /**
   * Yields every task of the run as it ends, each once; steps inside a member of a large group once that member has ended.
   * Skipped tasks are omitted. A failed run yields the tasks that had ended before.
   * @throws as `members`.
   */
  collect(options?: GetOptions): AsyncIterableIterator<CollectedTask>;
  /** Returns the tasks whose results the job or the run uses: the first 1,000. @throws as `graph`. */
  children(): Promise<AsyncResult<unknown>[]>;
  /** Returns the task or the run that waits for the job; undefined if none does. @throws as `graph`. */
  parent(): Promise<AsyncResult<unknown> | undefined>;
  /** Returns attempts, times and headers of the job. @throws {UnknownJobError} if the store does not hold the job. */
  info(): Promise<JobInfo>;
  /** Returns the lines that the handler has logged, oldest first. */
  logs(): Promise<string[]>;
  /**
   * Revokes the job, or all unstarted steps of a run: they never start, and their state is `revoked`. A running job
   * continues unless `terminate` is set; then its `ctx.signal` is aborted and its result is ignored. An ended run keeps its
   * state and its result, but its unended steps are revoked. Returns false if there was nothing to revoke.
   * @example await result.revoke({ terminate: true });
   * @throws {UnknownJobError} if the store does not hold the job.
   */
  revoke(options?: RevokeOptions): Promise<boolean>;
  /**
   * Runs failed jobs again, with all their attempts and without marks of a revocation or an expiry, and then the jobs that
   * wait for them. Completed jobs keep their results. Callers that wait with this handle get the new outcome. Callbacks that
   * were sent are not sent again. Returns the number of jobs that run again.
   * @example await result.resume({ inputs: { '0-1': { to: 'ada@example.com' } } });
   * @throws {JobStateError} unless the job has failed; if it is a step of a run (resume the run instead); or if `inputs` has
   * a step that has completed or does not run again.
   * @throws {UnknownJobError} if the store does not hold the job.
   * @throws {InvalidOptionError} if `inputs` has an unknown step, or one whose task this program does not define.
   * @throws {ValidationError} if an input does not match the schema of its task. Nothing is changed then.
   */
  resume(options?: ResumeOptions): Promise<number>;
  /**
   * Ends waits that have begun: sleeps, and the waits between two turns of a loop. Returns how many it ended. Without
   * `step`, it ends all waits of the run that have begun.
   * @param step The id of the step, or its path in the run (`'0-1'` for the step with the id `<run>.0-1`). Returns 0 if the
   * wait of this step is over.
   * @example await result.wake('0-1');
   * @throws {JobStateError} if the step has not begun to wait, or is neither a sleep nor a loop.
   * @throws {UnknownJobError} if the store does not hold the run or the step.
   */
  wake(step?: string): Promise<number>;
  /**
   * Removes the job and its result from the store now, instead of after `resultTtl`.
   * @throws {JobStateError} unless the job has ended: revoke it first.
   */
  forget(): Promise<void>;
}

// Checks of the options, shared by `StoredResult` and `ReadyResult`.

const GET: OptionNames<GetOptions> = { timeout: true, signal: true, allowInTask: true };
const PAGE: OptionNames<PageOptions> = { offset: true, limit: true };
const REVOKE: OptionNames<RevokeOptions> = { terminate: true };

/** Maximum number of members of a page. */
const MAX_LIMIT = 10_000;

/** A range of members in declared order. */
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

/** Returns whether to abort running attempts too. @throws {InvalidOptionError} for a wrong option. */
export function isTerminating(options: RevokeOptions): boolean {
  const { terminate = false } = checkOptions(options, REVOKE);
  return checkBoolean('terminate', terminate);
}

// Outcomes of members and tasks.

/** Type of the members of a result `Out`: its items or values; any other value is one member. */
export type MemberOf<Out> = Out extends readonly unknown[]
  ? Out[number]
  : Out extends object
    ? Out[keyof Out]
    : Out;

interface MemberPosition {
  /** Index in declared order, from 0. Members that other members added follow. */
  readonly index: number;
  /** Key in a record. */
  readonly key?: string;
}

/** Outcome of a member. */
export type MemberOutcome<Value> =
  | (MemberPosition & { readonly ok: true; readonly value: Value })
  | (MemberPosition & { readonly ok: false; readonly error: FailureRecord });

/** Current outcome of a member. */
export type PageEntry<Value> = MemberOutcome<Value> | (MemberPosition & { readonly pending: true });

/** Selects members of a workflow run by their index. */
export interface PageOptions {
  /** Index of the first member. Default: 0. */
  offset?: number | undefined;
  /** Maximum number of members, up to 10,000. Default: 100. */
  limit?: number | undefined;
}

/** Outcome of a task of a run. */
export type CollectedTask =
  | { readonly id: string; readonly task: string; readonly ok: true; readonly value: unknown }
  | { readonly id: string; readonly task: string; readonly ok: false; readonly error: FailureRecord };
