import type { StoredJob } from '../bullmq/stored-job.js';
import type { JobPlace } from '../bullmq/tree.js';
import {
  ExpectedFailureError,
  type FailureOrigin,
  JobStateError,
  TaskFailedError,
  UnknownJobError,
} from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { RunGraph } from '../graph/run-graph.js';
import type { RunCounts } from '../graph/tally.js';
import { isInHandler } from '../running/handler-frame.js';
import { refuseUnbound } from '../tasks/unbound.js';
import { rebuildError } from '../wire/error-record.js';
import type {
  AsyncResult,
  GetOptions,
  JobInfo,
  Outcome,
  ResumeOptions,
  RevokeOptions,
} from './async-result.js';
import { endOf, progressOverTime } from './ending.js';
import { membersOverTime, tasksOverTime } from './following.js';
import { jobInfoOf } from './job-info.js';
import type { CollectedTask, MemberOutcome, PageEntry, PageOptions } from './member-outcome.js';
import { checkedInputs } from './new-inputs.js';
import { checkGet, isTerminating } from './options.js';
import { revokeJobs } from './revoking.js';
import { RunView } from './run-view.js';
import { isFinal, type JobState } from './state.js';
import { untilAborted } from './waiting.js';
import type { ResultParts, Watched } from './watching.js';

/** Where a job is: known, or to be looked for among queues. */
export type Place = { readonly queue: string } | { readonly queues: () => readonly string[] };

export class StoredResult implements AsyncResult<unknown> {
  readonly id: string;
  readonly #parts: ResultParts;
  readonly #place: Place;
  #watching: Watched | undefined;
  #view: RunView | undefined;
  #queue: string | undefined;

  constructor(parts: ResultParts, place: Place, id: string) {
    this.#parts = parts;
    this.#place = place;
    this.id = id;
  }

  // Made when they are asked for: of most calls nobody looks at the result.
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
    return (await this.#parts.store.state(queue, this.id)) as JobState; // or one of the task's own, by the public type
  }

  async get(options: GetOptions = {}): Promise<unknown> {
    this.#refuseInHandler(checkGet(options));
    const outcome = await endOf(this.#parts, this.#watched, options);
    if (outcome.kind === 'failed') throw failedError(outcome.failure);
    return outcome.value; // validated by the worker, or inferred from the handler that made it
  }

  async outcome(options: GetOptions = {}): Promise<Outcome<unknown>> {
    this.#refuseInHandler(checkGet(options));
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
    return queue === undefined ? [] : this.#parts.store.logs(queue, this.id);
  }

  async revoke(options: RevokeOptions = {}): Promise<boolean> {
    const terminate = isTerminating(options);
    const { queue } = await this.#job();
    const mark = { now: this.#parts.runtime.clock.now() };
    // Also of a run that has ended: it may have left steps behind.
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
      throw new JobStateError(`Job ${this.id} is ${state}: only what has failed can be resumed.`);
    }
    const place = { queue: alone ? INTERNAL_QUEUE : queue, id: run };
    // A call with callbacks fails together with the run that carries those, which may be about to.
    if (alone)
      await new StoredResult(this.#parts, { queue: INTERNAL_QUEUE }, run).outcome({ allowInTask: true });
    const inputs = await checkedInputs(this.#parts, { ...place, asked: this.id }, options);
    return this.#parts.store.resume(place.queue, place.id, inputs);
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
    await this.#parts.store.remove(queue, this.id);
  }

  async #job(): Promise<StoredJob> {
    const queue = await this.#find();
    const job = queue === undefined ? undefined : await this.#parts.store.job(queue, this.id);
    if (job === undefined) throw this.#unknown(queue);
    return job;
  }

  /** The queue that holds the job, or undefined if none does. */
  async #find(): Promise<string | undefined> {
    if ('queue' in this.#place) return this.#place.queue;
    if (this.#queue !== undefined) return this.#queue;
    for (const queue of this.#place.queues()) {
      if (!(await this.#parts.store.holds(queue, this.id))) continue;
      this.#queue = queue;
      return queue;
    }
    return undefined;
  }

  /** A handler that waits holds a place in its worker that what it waits for may need. */
  #refuseInHandler({ allowInTask }: GetOptions): void {
    if (allowInTask || !isInHandler()) return;
    throw new JobStateError(
      `The handler of a task waits for job ${this.id}: once all places of the worker wait so, none is left for what they wait for. ` +
        'Compose the tasks with chain or chord, or `return ctx.replace(…)`; get({ allowInTask: true }) waits all the same.',
    );
  }

  #resultAt({ queue, id }: JobPlace): StoredResult {
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
