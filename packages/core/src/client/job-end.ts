/** This module waits for the end of one job: for its outcome, or for its progress until then. */

import { isUmbelError, UnknownJobError } from '../base/errors.js';
import { CancellableWait } from '../base/wait.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { progressIn, readJob } from '../store/read.js';
import { jobOutcomeOf, outcomeOfEnd } from '../store/results.js';
import type { JobOutcome } from '../store/store.js';
import type { JobEnd, JobWait } from '../store/watcher.js';
import type { GetOptions } from './async-result.js';
import { countsOverTime } from './run-view.js';
import { type ResultDependencies, WaitLimits, type Watched, warnIfUnserved } from './wait.js';

export type Ended = Exclude<JobOutcome, { kind: 'pending' | 'missing' }>;

/** Waits for the final outcome. @throws the error that ends the wait before. */
export function endOf(dependencies: ResultDependencies, job: Watched, options: GetOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    dependencies.store.checkOpen();
    new EndWait(dependencies, job, options, resolve, reject).begin();
  });
}

/**
 * A wait with limits. It advises if no worker serves the queue. When a test's engine has nothing left to do, it looks at the
 * job a last time and gives up.
 */
abstract class LimitedWait implements JobWait {
  protected readonly dependencies: ResultDependencies;
  protected readonly job: Watched;
  /** The queue that holds the job, once it is known. */
  protected queue: string | undefined;
  #limits: WaitLimits | undefined;
  #unwatch: (() => void) | undefined;

  constructor(dependencies: ResultDependencies, job: Watched) {
    this.dependencies = dependencies;
    this.job = job;
  }

  abstract ended(end: JobEnd): void;
  abstract failed(error: unknown): void;

  /** Ends the wait with an outcome that was read after giving up. It is not pending. */
  protected abstract settle(queue: string, outcome: JobOutcome): void;

  /** Reads what the wait reports before it gives up. */
  protected reportLast(_queue: string): Promise<void> | void {}

  protected get isOver(): boolean {
    return false;
  }

  lasts(): void {
    // Tests control their own workers.
    if (this.dependencies.runtime.observer === undefined) void warnIfUnserved(this.dependencies, this.job);
  }

  /** Starts the limits. Called last by constructors: a signal that is already aborted ends the wait at once. */
  protected limit(options: GetOptions): void {
    const { timeout, signal } = options;
    const { observer } = this.dependencies.runtime;
    if (timeout === undefined && signal === undefined && observer === undefined) return;
    this.#limits = new WaitLimits(
      this.dependencies,
      this.job,
      options,
      (error) => this.failed(error),
      (error) => void this.#giveUp(error),
    );
  }

  protected watch(queue: string): void {
    this.queue = queue;
    this.#unwatch = this.dependencies.store.wait(queue, this.job.id, this);
  }

  protected release(): void {
    this.#unwatch?.();
    this.#limits?.stop();
  }

  /** Ends the wait with the error, unless the job has ended. */
  async #giveUp(error: Error): Promise<void> {
    try {
      const queue = this.queue ?? (await this.job.find());
      if (queue === undefined) return this.failed(error);
      const ref = { queue, id: this.job.id };
      const outcome = await jobOutcomeOf(this.dependencies.store, ref, () => this.isOver);
      await this.reportLast(queue);
      if (outcome.kind === 'pending') this.failed(error);
      else this.settle(queue, outcome);
    } catch (other) {
      this.failed(other);
    }
  }
}

/** A wait for the outcome. A process may have thousands, so each holds little state and sets only the timers it needs. */
class EndWait extends LimitedWait {
  readonly #resolve: (ended: Ended) => void;
  readonly #reject: (error: unknown) => void;
  #isOver = false;
  /** True once the store has answered: then the wait survives an outage. */
  isPatient = false;

  constructor(
    dependencies: ResultDependencies,
    job: Watched,
    options: GetOptions,
    resolve: (ended: Ended) => void,
    reject: (error: unknown) => void,
  ) {
    super(dependencies, job);
    this.#resolve = resolve;
    this.#reject = reject;
    this.limit(options);
  }

  protected override get isOver(): boolean {
    return this.#isOver;
  }

  begin(): void {
    const { queue } = this.job;
    if (queue !== undefined) this.#wait(queue);
    else void this.#find();
  }

  ended(end: JobEnd): void {
    void this.#read(end);
  }

  failed(error: unknown): void {
    if (this.#finish()) this.#reject(error);
  }

  protected settle(queue: string, outcome: JobOutcome): void {
    if (outcome.kind === 'pending') this.#wait(queue);
    else if (outcome.kind === 'missing') this.failed(new UnknownJobError(this.job.id, queue));
    else if (this.#finish()) this.#resolve(outcome);
  }

  async #find(): Promise<void> {
    try {
      const queue = await this.job.find();
      if (queue === undefined) throw new UnknownJobError(this.job.id, undefined);
      this.#wait(queue);
    } catch (error) {
      this.failed(error);
    }
  }

  #wait(queue: string): void {
    if (!this.#isOver) this.watch(queue);
  }

  async #read(end: JobEnd): Promise<void> {
    const queue = this.queue ?? '';
    const ref = { queue, id: this.job.id };
    this.isPatient = true;
    try {
      this.settle(queue, await outcomeOfEnd(this.dependencies.store, ref, end, () => this.#isOver));
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION')) this.#wait(queue);
      else this.failed(error);
    }
  }

  /** Ends the wait. Returns false if it was over before. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.release();
    return true;
  }
}

/**
 * Yields the progress of a job until it ends, beginning with the latest value; for a run, its counts. Values that arrive
 * faster than they are consumed are skipped.
 */
export async function* progressOverTime(
  dependencies: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<unknown, void> {
  const { store } = dependencies;
  store.checkOpen();
  await dependencies.checkStored?.(job.id);
  const wait = new ProgressWait(dependencies, job, options);
  let lastText: string | undefined;
  let last: string | undefined;
  let task: string | undefined;
  try {
    const queue = await wait.begin();
    if (queue === INTERNAL_QUEUE) {
      wait.stop();
      yield* countsOverTime(dependencies, job, options);
      return;
    }
    for (;;) {
      const text = await wait.next();
      if (text === undefined) return;
      if (text === lastText) continue;
      lastText = text;
      const progress = progressIn(store, { queue, id: job.id }, text, task);
      const { value, json, task: name } = progress instanceof Promise ? await progress : progress;
      task ??= name;
      // Custom states are reported with the progress, so the value may be unchanged.
      if (json === undefined || json === last) continue;
      last = json;
      yield value;
    }
  } finally {
    wait.stop();
  }
}

/** A wait for the next progress, or the end. */
class ProgressWait extends LimitedWait {
  readonly #ending = new CancellableWait();
  #latest: string | undefined;
  #end: JobEnd | undefined;
  #error: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(dependencies: ResultDependencies, job: Watched, options: GetOptions) {
    super(dependencies, job);
    this.limit(options);
  }

  /** Starts the wait. Returns the queue that holds the job. */
  async begin(): Promise<string> {
    const uncall = this.#ending.on(this.dependencies.store.closed);
    try {
      const queue = this.job.queue ?? (await this.#ending.race(this.job.find()));
      if (queue === undefined) throw new UnknownJobError(this.job.id, undefined);
      if (queue !== INTERNAL_QUEUE) this.watch(queue);
      return queue;
    } finally {
      uncall();
    }
  }

  reported(progress: string): void {
    this.#latest = progress;
    this.#wake?.();
  }

  ended(end: JobEnd): void {
    this.#end = end;
    this.#wake?.();
  }

  failed(error: unknown): void {
    this.#error ??= { error };
    this.#ending.with(error);
    this.#wake?.();
  }

  /** Waits for new progress and returns it; undefined at the end. */
  async next(): Promise<string | undefined> {
    const { id } = this.job;
    const queue = this.queue ?? '';
    for (;;) {
      if (this.#error !== undefined) throw this.#error.error;
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest !== undefined) return latest;
      if (this.#end?.kind === 'missing') throw new UnknownJobError(id, queue);
      if (this.#end?.kind === 'unreadable') await jobOutcomeOf(this.dependencies.store, { queue, id }); // throws the reason
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  stop(): void {
    this.release();
  }

  protected settle(_queue: string, outcome: JobOutcome): void {
    if (outcome.kind !== 'pending') this.ended({ kind: outcome.kind, text: undefined });
  }

  protected override async reportLast(queue: string): Promise<void> {
    const job = await readJob(this.dependencies.store, { queue, id: this.job.id });
    const progress = JSON.stringify(job?.progress);
    if (progress !== undefined) this.reported(progress);
  }
}
