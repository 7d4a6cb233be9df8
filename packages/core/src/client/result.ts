/** This module implements the handles of jobs and runs (`AsyncResult`). */
import { type FailureOrigin, JobStateError, UnknownJobError } from '../base/errors.js';
import { ExpectedFailureError, TaskFailedError } from '../base/failures.js';
import { checkText } from '../base/option-checks.js';
import { untilAborted } from '../base/wait.js';
import { rebuildError } from '../codec/error-record.js';
import { randomId } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import { isFinal, type JobState } from '../job/states.js';
import { terminateMarked } from '../store/control-queue.js';
import type { Mark } from '../store/marking.js';
import { isHeld, jobStateOf, logsOf, queueOfJob, readJob } from '../store/read.js';
import { resumeTree } from '../store/resume.js';
import { removeJob, revokeJob } from '../store/revoke.js';
import type { StoredJob } from '../store/stored-job.js';
import { waitsBelow, wakeJob } from '../store/wake.js';
import { isInHandler } from '../task/context.js';
import { refuseUnbound } from '../task/signature.js';
import { type RunGraph, runGraph } from '../workflow/graph.js';
import { type RunCounts, runCountsOf } from '../workflow/graph-tally.js';
import {
  type AsyncResult,
  type CollectedTask,
  checkGet,
  type GetOptions,
  isTerminating,
  type JobInfo,
  type MemberOutcome,
  type Outcome,
  type PageEntry,
  type PageOptions,
  type ResumeOptions,
  type RevokeOptions,
  rangeOf,
} from './async-result.js';
import { endOf, progressOverTime } from './job-end.js';
import { checkedInputs } from './new-inputs.js';
import { membersOfValue } from './run/group.js';
import { membersOverTime, RunView, tasksOverTime } from './run-view.js';
import type { ResultDependencies, Watched } from './wait.js';

/** Returns the public facts about a stored job. */
export function jobInfoOf(job: StoredJob): JobInfo {
  const { headers = {}, label, alone, root, parent } = job.envelope ?? {};
  const run = alone ? undefined : job.envelope?.run;
  return {
    id: job.id,
    task: job.name,
    displayName: label ?? job.name,
    queue: job.queue,
    attempts: job.attempts,
    enqueuedAt: new Date(job.enqueuedAt),
    ...(job.startedAt !== undefined && { startedAt: new Date(job.startedAt) }),
    ...(job.finishedAt !== undefined && { finishedAt: new Date(job.finishedAt) }),
    headers,
    ...(run !== undefined && { runId: run }),
    rootId: root ?? run ?? job.id,
    ...(parent !== undefined && { parentId: parent }),
  };
}

/**
 * Revokes a job and all unended jobs below it; with `isTerminated`, running attempts are aborted. Returns the marked
 * jobs.
 */
export async function revokeJobs(
  { store }: ResultDependencies,
  { queue, id }: JobRef,
  mark: Mark,
  isTerminated: boolean,
): Promise<readonly JobRef[]> {
  const marked = await revokeJob(store, { queue, id }, mark);
  if (isTerminated) await terminateMarked(store, marked);
  return marked;
}

/** Maximum length of the id or the path of a step. */
const MAX_STEP = 10_000;

/** Ends the wait of a step. Returns the number of waits that it ended. @throws as `AsyncResult.wake`. */
async function wakeStep(store: ResultDependencies['store'], id: string, now: number): Promise<number> {
  switch (await wakeJob(store, { queue: INTERNAL_QUEUE, id }, now)) {
    case 'woken':
      return 1;
    case 'over':
      return 0;
    case 'not-begun':
      throw new JobStateError(
        `Step ${id} does not wait now, because an earlier step or a turn has not ended. Wake it while its state is "delayed".`,
      );
    case 'none':
    case 'unknown': // a task's job is in another queue
      throw new JobStateError(
        `Job ${id} is neither a sleep nor a loop, so it cannot be woken. The graph of the run shows the ids of its waits.`,
      );
  }
}

/** The queue of a job, or the queues to search for it: first the likely one alone. */
export type Place =
  | { readonly queue: string }
  | { readonly likely?: string | undefined; readonly queues: () => readonly string[] };

export class StoredResult implements AsyncResult<unknown> {
  readonly id: string;
  readonly #parts: ResultDependencies;
  readonly #place: Place;
  #watching: Watched | undefined;
  #view: RunView | undefined;
  #queue: string | undefined;

  constructor(parts: ResultDependencies, place: Place, id: string) {
    this.#parts = parts;
    this.#place = place;
    this.id = id;
  }

  // Created at first use: most callers never use the result.
  get #watched(): Watched {
    const { id } = this;
    const queue = 'queue' in this.#place ? this.#place.queue : undefined;
    this.#watching ??= { id, queue, find: () => this.#find(), state: () => this.state() };
    return this.#watching;
  }

  get #run(): RunView {
    this.#view ??= new RunView(this.#parts.store, this.#watched);
    return this.#view;
  }

  async state(): Promise<JobState> {
    const queue = await this.#find();
    if (queue === undefined) return 'unknown';
    return (await jobStateOf(this.#parts.store, { queue, id: this.id })) as JobState; // or a custom state, by the public type
  }

  async get(options: GetOptions = {}): Promise<unknown> {
    this.#refuseInHandler(checkGet(options));
    const { checkStored } = this.#parts;
    if (checkStored !== undefined) await checkStored(this.id);
    const outcome = await endOf(this.#parts, this.#watched, options);
    if (outcome.kind === 'failed') throw failedError(outcome.failure);
    return outcome.value; // validated by the worker, or inferred from the handler
  }

  async outcome(options: GetOptions = {}): Promise<Outcome<unknown>> {
    this.#refuseInHandler(checkGet(options));
    const { checkStored } = this.#parts;
    if (checkStored !== undefined) await checkStored(this.id);
    const outcome = await endOf(this.#parts, this.#watched, options);
    if (outcome.kind === 'completed') return { ok: true, value: outcome.value };
    const error = failedError(outcome.failure);
    const { cause } = error;
    const failed = cause instanceof ExpectedFailureError ? { failure: cause.failure, data: cause.data } : {};
    return { ok: false, failure: undefined, ...failed, error } as Outcome<unknown>; // typed by the task's declared failures
  }

  progress(options: GetOptions = {}): AsyncIterableIterator<unknown> {
    return untilAborted(progressOverTime(this.#parts, this.#watched, checkGet(options)), options.signal);
  }

  graph(): Promise<RunGraph> {
    return this.#run.graph();
  }

  counts(): Promise<RunCounts> {
    return this.#run.counts();
  }

  async children(): Promise<AsyncResult<unknown>[]> {
    return (await this.#run.before()).map((place) => this.#resultAt(place));
  }

  async parent(): Promise<AsyncResult<unknown> | undefined> {
    const place = await this.#run.after();
    return place && this.#resultAt(place);
  }

  members(options: GetOptions = {}): AsyncIterableIterator<MemberOutcome<unknown>> {
    this.#refuseInHandler(checkGet(options));
    return untilAborted(membersOverTime(this.#parts, this.#watched, options), options.signal);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<MemberOutcome<unknown>> {
    return this.members();
  }

  page(options: PageOptions = {}): Promise<PageEntry<unknown>[]> {
    return this.#run.page(options);
  }

  collect(options: GetOptions = {}): AsyncIterableIterator<CollectedTask> {
    this.#refuseInHandler(checkGet(options));
    return untilAborted(tasksOverTime(this.#parts, this.#watched, options), options.signal);
  }

  async info(): Promise<JobInfo> {
    return jobInfoOf(await this.#job());
  }

  async logs(): Promise<string[]> {
    const queue = await this.#find();
    return queue === undefined ? [] : logsOf(this.#parts.store, { queue, id: this.id });
  }

  async revoke(options: RevokeOptions = {}): Promise<boolean> {
    const terminate = isTerminating(options);
    const { queue } = await this.#job();
    const mark = { now: this.#parts.runtime.clock.now() };
    // Also for an ended run: it may have unended steps.
    const marked = await revokeJobs(this.#parts, { queue, id: this.id }, mark, terminate);
    return marked.length > 0;
  }

  async resume(options: ResumeOptions = {}): Promise<number> {
    const { queue, envelope } = await this.#job();
    const state = await this.state();
    const { run = this.id, alone } = envelope ?? {};
    if (run !== this.id && !alone) {
      throw new JobStateError(
        `Job ${this.id} is a step of run ${run}: resume that, with app.result('${run}').resume().`,
      );
    }
    if (!['failed', 'expired', 'revoked'].includes(state)) {
      throw new JobStateError(
        `Job ${this.id} is ${state}: only a failed, expired or revoked job can be resumed.`,
      );
    }
    const place = { queue: alone ? INTERNAL_QUEUE : queue, id: run };
    // A call with callbacks fails with its run, which may be just about to fail.
    if (alone)
      await new StoredResult(this.#parts, { queue: INTERNAL_QUEUE }, run).outcome({ allowInTask: true });
    const inputs = await checkedInputs(this.#parts, { ...place, asked: this.id }, options);
    return resumeTree(this.#parts.store, place, inputs);
  }

  async wake(step?: string): Promise<number> {
    if (step !== undefined) checkText('step', step, MAX_STEP);
    const { queue, envelope } = await this.#job();
    const { store, runtime } = this.#parts;
    const { run = this.id } = envelope ?? {};
    if (step !== undefined) {
      const id = step === run || step.startsWith(`${run}.`) ? step : jobIdOf(run, step);
      return wakeStep(store, id, runtime.clock.now());
    }
    let count = 0;
    for await (const place of waitsBelow(store, { queue, id: this.id }))
      if ((await wakeJob(store, place, runtime.clock.now())) === 'woken') count += 1;
    return count;
  }

  async forget(): Promise<void> {
    const queue = await this.#find();
    if (queue === undefined) return;
    const state = await this.state();
    if (!isFinal(state) && state !== 'unknown') {
      throw new JobStateError(
        `Job ${this.id} is ${state}: only a job that has ended can be forgotten. Revoke it first.`,
      );
    }
    await removeJob(this.#parts.store, { queue, id: this.id });
  }

  async #job(): Promise<StoredJob> {
    const queue = await this.#find();
    const job = queue === undefined ? undefined : await readJob(this.#parts.store, { queue, id: this.id });
    if (job === undefined) throw this.#unknown(queue);
    return job;
  }

  /** Returns the queue that holds the job; undefined if none does. */
  async #find(): Promise<string | undefined> {
    if ('queue' in this.#place) return this.#place.queue;
    if (this.#queue !== undefined) return this.#queue;
    const { likely, queues } = this.#place;
    const { store } = this.#parts;
    if (likely !== undefined && (await isHeld(store, { queue: likely, id: this.id }))) this.#queue = likely;
    else this.#queue = await queueOfJob(store, queues(), this.id);
    return this.#queue;
  }

  /** Throws in a handler: a waiting handler occupies a slot that the awaited job may need. */
  #refuseInHandler({ allowInTask }: GetOptions): void {
    if (allowInTask || !isInHandler()) return;
    throw new JobStateError(
      `The handler of a task waits for job ${this.id}: a worker whose handlers all wait has no slot left for the jobs they wait for. ` +
        'Compose the tasks with chain or chord, or `return ctx.replace(…)`; to wait anyway, pass get({ allowInTask: true }).',
    );
  }

  #resultAt({ queue, id }: JobRef): StoredResult {
    return new StoredResult(this.#parts, { queue }, id);
  }

  #unknown(queue: string | undefined): UnknownJobError {
    return new UnknownJobError(this.id, queue);
  }
}

function failedError({ task, jobId, error, state, index }: FailureOrigin): TaskFailedError {
  return new TaskFailedError(task, jobId, rebuildError(error), state, index);
}

refuseUnbound(StoredResult, 'result');

/** Handle of a result that exists without a job, such as that of an empty group. */
export class ReadyResult implements AsyncResult<unknown> {
  readonly id = randomId();
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  async state(): Promise<JobState> {
    return 'completed';
  }

  async get(options: GetOptions = {}): Promise<unknown> {
    checkGet(options).signal?.throwIfAborted();
    return this.#value;
  }

  async outcome(options: GetOptions = {}): Promise<Outcome<unknown>> {
    checkGet(options).signal?.throwIfAborted();
    return { ok: true, value: this.#value };
  }

  async *progress(options: GetOptions = {}): AsyncIterableIterator<unknown> {
    checkGet(options);
    yield* [];
  }

  async info(): Promise<JobInfo> {
    throw new UnknownJobError(this.id, undefined);
  }

  async logs(): Promise<string[]> {
    return [];
  }

  async revoke(options: RevokeOptions = {}): Promise<boolean> {
    isTerminating(options);
    return false;
  }

  async resume(): Promise<number> {
    throw new JobStateError('An empty group has completed: there is nothing to resume.');
  }

  async wake(): Promise<number> {
    return 0;
  }

  async forget(): Promise<void> {}

  async graph(): Promise<RunGraph> {
    return runGraph({ id: this.id, before: [] }, this.id);
  }

  async counts(): Promise<RunCounts> {
    return runCountsOf({ id: this.id, before: [] });
  }

  async children(): Promise<AsyncResult<unknown>[]> {
    return [];
  }

  async parent(): Promise<undefined> {}

  members(options: GetOptions = {}): AsyncIterableIterator<MemberOutcome<unknown>> {
    const { signal } = checkGet(options);
    return untilAborted(membersOfValue(this.#value), signal);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<MemberOutcome<unknown>> {
    return this.members();
  }

  async page(options: PageOptions = {}): Promise<PageEntry<unknown>[]> {
    const { offset, limit } = rangeOf(options);
    return membersOfValue(this.#value).slice(offset, offset + limit);
  }

  async *collect(options: GetOptions = {}): AsyncIterableIterator<CollectedTask> {
    checkGet(options);
    yield* [];
  }
}

refuseUnbound(ReadyResult, 'result');
