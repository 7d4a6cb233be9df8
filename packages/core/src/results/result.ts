import { randomUUID } from 'node:crypto';
import type { JobOutcome, Store } from '../bullmq/store.js';
import type { StoredJob } from '../bullmq/stored-job.js';
import { durationMs } from '../duration.js';
import {
  ExpectedFailureError,
  type FailureOrigin,
  isUmbelError,
  JobStateError,
  TaskFailedError,
  TimeoutError,
  UnknownJobError,
} from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { isInHandler } from '../running/handler-frame.js';
import type { Runtime } from '../runtime.js';
import { rebuildError } from '../wire/error-record.js';
import type { AsyncResult, GetOptions, JobInfo, Outcome } from './async-result.js';
import { isFinal, type JobState } from './state.js';
import { Bell, Interrupt } from './waiting.js';

/** The machine's, taken at load time: polling is no part of the time that a test may replace. */
const { setTimeout, clearTimeout } = globalThis;

/** Events only wake a waiter; the store decides. A missed event costs at most this long. */
const POLL_MS = { first: 50, max: 5000 };
const LAST_LOOK_MS = 1000;

/** What handles are made with. */
export interface ResultParts {
  readonly store: Store;
  readonly runtime: Runtime;
  /** Tells the workers that run a job to give it up. */
  readonly terminate: (queue: string, id: string) => Promise<void>;
}

/** Where a job is: known, or to be looked for among queues. */
export type Place = { readonly queue: string } | { readonly queues: () => readonly string[] };

export class StoredResult implements AsyncResult<unknown> {
  readonly id: string;
  readonly #parts: ResultParts;
  readonly #place: Place;
  #queue: string | undefined;

  constructor(parts: ResultParts, place: Place, id: string) {
    this.#parts = parts;
    this.#place = place;
    this.id = id;
  }

  async state(): Promise<JobState> {
    const queue = await this.#find();
    if (queue === undefined) return 'unknown';
    return (await this.#parts.store.state(queue, this.id)) as JobState; // or one of the task's own, by the public type
  }

  async get(options: GetOptions = {}): Promise<unknown> {
    this.#refuseInHandler(options);
    const outcome = await this.#ended(options);
    if (outcome.kind === 'failed') throw failedError(outcome.failure);
    return outcome.value; // validated by the worker, or inferred from the handler that made it
  }

  async outcome(options: GetOptions = {}): Promise<Outcome<unknown>> {
    this.#refuseInHandler(options);
    const outcome = await this.#ended(options);
    if (outcome.kind === 'completed') return { ok: true, value: outcome.value };
    const error = failedError(outcome.failure);
    const { cause } = error;
    const failed = cause instanceof ExpectedFailureError ? { failure: cause.failure, data: cause.data } : {};
    return { ok: false, failure: undefined, ...failed, error } as Outcome<unknown>; // typed by the task's declared failures
  }

  async *progress(options: GetOptions = {}): AsyncIterableIterator<unknown> {
    const { store } = this.#parts;
    let last: string | undefined;
    const fresh = ({ progress }: StoredJob): boolean => {
      const text = JSON.stringify(progress);
      if (text === undefined || text === last) return false;
      last = text;
      return true;
    };
    for await (const { queue, ask } of this.#watched(options)) {
      // The end is looked for first, so that a last report before it is not missed.
      const outcome = await ask(() => store.outcome(queue, this.id));
      const job = await ask(() => store.job(queue, this.id));
      if (outcome === LATER || job === LATER) continue;
      if (job !== undefined && fresh(job)) yield job.progress;
      if (outcome.kind === 'missing') throw this.#unknown(queue);
      if (outcome.kind !== 'pending') return;
    }
  }

  async info(): Promise<JobInfo> {
    const job = await this.#job();
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

  async logs(): Promise<string[]> {
    const queue = await this.#find();
    return queue === undefined ? [] : this.#parts.store.logs(queue, this.id);
  }

  async revoke({ terminate = false }: { terminate?: boolean } = {}): Promise<boolean> {
    const { store, runtime } = this.#parts;
    const { queue } = await this.#job();
    if (isFinal(await this.state())) return false;
    const marked = await store.revoke(queue, this.id, { now: runtime.clock.now() });
    if (terminate) for (const job of marked) await this.#parts.terminate(job.queue, job.id);
    return true;
  }

  async resume(): Promise<number> {
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
    if (!alone) return this.#parts.store.resume(queue, run);
    // A call with callbacks fails together with the run that carries those, which may be about to.
    await new StoredResult(this.#parts, { queue: INTERNAL_QUEUE }, run).#ended({});
    return this.#parts.store.resume(INTERNAL_QUEUE, run);
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

  #unknown(queue: string | undefined): UnknownJobError {
    return new UnknownJobError(this.id, queue);
  }

  /** The final outcome. @throws what ends the wait before there is one. */
  async #ended(options: GetOptions): Promise<Ended> {
    for await (const { queue, ask } of this.#watched(options)) {
      const outcome = await ask(() => this.#parts.store.outcome(queue, this.id));
      if (outcome === LATER) continue;
      if (outcome.kind === 'missing') throw this.#unknown(queue);
      if (outcome.kind !== 'pending') return outcome;
    }
    throw new Error('a wait without an end'); // the watch goes on until it is left
  }

  /**
   * Gives an occasion to look at the job, at once, at events and now and then, until it is left.
   * @throws what ends the wait.
   */
  async *#watched({ timeout, signal }: GetOptions): AsyncGenerator<Look, void> {
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
    const { store, runtime } = this.#parts;
    const { clock, observer } = runtime;
    const bell = new Bell();
    const interrupt = new Interrupt();
    const isOver = () => void this.#timedOut(timeoutMs ?? 0).then((error) => interrupt.with(error));
    const deadline = timeoutMs === undefined ? undefined : clock.setTimeout(isOver, timeoutMs);
    const undo = [
      interrupt.on(signal),
      interrupt.on(store.closed),
      observer?.waiting(this.id, (error) => interrupt.with(error)),
      () => clock.clearTimeout(deadline),
    ];
    try {
      const queue = await interrupt.race(this.#find());
      if (queue === undefined) throw this.#unknown(queue);
      undo.push(store.watch(queue, this.id, () => bell.ring()));
      let hasAnswered = false;
      const ask: Look['ask'] = async (question) => {
        try {
          const answer = await interrupt.race(question());
          hasAnswered = true;
          return answer;
        } catch (error) {
          // A store that was there once may come back; one that never was is told at once.
          if (hasAnswered && isUmbelError(error, 'CONNECTION')) return LATER;
          throw error;
        }
      };
      for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.max)) {
        yield { queue, ask };
        await interrupt.race(bell.wait(pollMs));
      }
    } finally {
      bell.ring();
      for (const end of undo) end?.();
    }
  }

  /** The error of a wait that took too long; a last look at the store may take a moment, not more. */
  async #timedOut(timeoutMs: number): Promise<Error> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<'unknown'>((resolve) => {
      timer = setTimeout(() => resolve('unknown'), LAST_LOOK_MS);
    });
    const state = await Promise.race([this.state().catch(() => 'unknown' as const), tooLate]);
    clearTimeout(timer);
    return new TimeoutError(this.id, timeoutMs, state);
  }
}

/** The store does not answer now. */
const LATER = Symbol('later');

/** An occasion to look at a job. */
interface Look {
  readonly queue: string;
  /** The answer of the store, or `LATER`; ends with the wait. */
  readonly ask: <T>(question: () => Promise<T>) => Promise<T | typeof LATER>;
}

type Ended = Exclude<JobOutcome, { kind: 'pending' | 'missing' }>;

function failedError({ task, jobId, error, state, index }: FailureOrigin): TaskFailedError {
  return new TaskFailedError(task, jobId, rebuildError(error), state, index);
}

/** The handle of what needed no job. */
export class ReadyResult implements AsyncResult<unknown> {
  readonly id = randomUUID();
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  async state(): Promise<JobState> {
    return 'completed';
  }

  async get(): Promise<unknown> {
    return this.#value;
  }

  async outcome(): Promise<Outcome<unknown>> {
    return { ok: true, value: this.#value };
  }

  async *progress(): AsyncIterableIterator<unknown> {}

  async info(): Promise<JobInfo> {
    throw new UnknownJobError(this.id, undefined);
  }

  async logs(): Promise<string[]> {
    return [];
  }

  async revoke(): Promise<boolean> {
    return false;
  }

  async resume(): Promise<number> {
    throw new JobStateError('An empty group has its result: there is nothing to resume.');
  }

  async forget(): Promise<void> {}
}
