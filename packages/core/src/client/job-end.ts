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
import { type ResultParts, WaitLimits, type Watched, warnIfUnserved } from './wait.js';

export type Ended = Exclude<JobOutcome, { kind: 'pending' | 'missing' }>;

/** Waits for the final outcome. @throws the error that ends the wait before. */
export function endOf(parts: ResultParts, job: Watched, options: GetOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    parts.store.checkOpen();
    new EndWait(parts, job, options, resolve, reject).begin();
  });
}

/** One wait. A process may have thousands, so each holds little state and sets only the timers that it needs. */
class EndWait implements JobWait {
  readonly #parts: ResultParts;
  readonly #job: Watched;
  readonly #resolve: (ended: Ended) => void;
  readonly #reject: (error: unknown) => void;
  readonly #limits: WaitLimits | undefined;
  #queue: string | undefined;
  #stop: (() => void) | undefined;
  #isOver = false;
  /** True once the store has answered: then the wait survives an outage. */
  isPatient = false;

  constructor(
    parts: ResultParts,
    job: Watched,
    options: GetOptions,
    resolve: (ended: Ended) => void,
    reject: (error: unknown) => void,
  ) {
    this.#parts = parts;
    this.#job = job;
    this.#resolve = resolve;
    this.#reject = reject;
    const { timeout, signal } = options;
    if (timeout === undefined && signal === undefined && parts.runtime.observer === undefined) return;
    this.#limits = new WaitLimits(
      parts,
      job,
      options,
      (error) => this.failed(error),
      (error) => void this.#giveUp(error),
    );
  }

  begin(): void {
    const { queue } = this.#job;
    if (queue !== undefined) this.#wait(queue);
    else void this.#find();
  }

  ended(end: JobEnd): void {
    void this.#read(end);
  }

  failed(error: unknown): void {
    if (this.#finish()) this.#reject(error);
  }

  lasts(): void {
    // Tests control their own workers.
    if (this.#parts.runtime.observer === undefined) void warnIfUnserved(this.#parts, this.#job);
  }

  async #find(): Promise<void> {
    try {
      const queue = await this.#job.find();
      if (queue === undefined) throw new UnknownJobError(this.#job.id, undefined);
      this.#wait(queue);
    } catch (error) {
      this.failed(error);
    }
  }

  #wait(queue: string): void {
    if (this.#isOver) return;
    this.#queue = queue;
    this.#stop = this.#parts.store.wait(queue, this.#job.id, this);
  }

  async #read(end: JobEnd): Promise<void> {
    const queue = this.#queue ?? '';
    const isCancelled = () => this.#isOver;
    this.isPatient = true;
    try {
      this.#settle(
        queue,
        await outcomeOfEnd(this.#parts.store, { queue, id: this.#job.id }, end, isCancelled),
      );
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION')) this.#wait(queue);
      else this.failed(error);
    }
  }

  #settle(queue: string, outcome: JobOutcome): void {
    if (outcome.kind === 'pending') this.#wait(queue);
    else if (outcome.kind === 'missing') this.failed(new UnknownJobError(this.#job.id, queue));
    else if (this.#finish()) this.#resolve(outcome);
  }

  /** Ends the wait with the error, unless the job has ended. */
  async #giveUp(error: Error): Promise<void> {
    try {
      const queue = this.#queue ?? (await this.#job.find());
      if (queue === undefined) return this.failed(error);
      const outcome = await jobOutcomeOf(this.#parts.store, { queue, id: this.#job.id }, () => this.#isOver);
      if (outcome.kind === 'pending') this.failed(error);
      else this.#settle(queue, outcome);
    } catch (other) {
      this.failed(other);
    }
  }

  /** Ends the wait. Returns false if it was over before. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#stop?.();
    this.#limits?.stop();
    return true;
  }
}

/**
 * Yields the progress of a job until it ends, beginning with the latest value; for a run, its counts. Values that arrive
 * faster than they are consumed are skipped.
 */
export async function* progressOverTime(
  parts: ResultParts,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<unknown, void> {
  const { store } = parts;
  store.checkOpen();
  const wait = new ProgressWait(parts, job, options);
  let lastText: string | undefined;
  let last: string | undefined;
  let task: string | undefined;
  try {
    const queue = await wait.begin();
    if (queue === INTERNAL_QUEUE) {
      wait.stop();
      yield* countsOverTime(parts, job, options);
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

class ProgressWait implements JobWait {
  readonly #parts: ResultParts;
  readonly #job: Watched;
  readonly #ending = new CancellableWait();
  readonly #limits: WaitLimits;
  #queue = '';
  #stop: (() => void) | undefined;
  #latest: string | undefined;
  #end: JobEnd | undefined;
  #error: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(parts: ResultParts, job: Watched, options: GetOptions) {
    this.#parts = parts;
    this.#job = job;
    const giveUp = (error: Error) => void this.#giveUp(error);
    this.#limits = new WaitLimits(parts, job, options, (error) => this.failed(error), giveUp);
  }

  /** Starts the wait. Returns the queue that holds the job. */
  async begin(): Promise<string> {
    const uncall = this.#ending.on(this.#parts.store.closed);
    try {
      const queue = this.#job.queue ?? (await this.#ending.race(this.#job.find()));
      if (queue === undefined) throw new UnknownJobError(this.#job.id, undefined);
      this.#queue = queue;
      if (queue !== INTERNAL_QUEUE) this.#stop = this.#parts.store.wait(queue, this.#job.id, this);
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

  lasts(): void {
    if (this.#parts.runtime.observer === undefined) void warnIfUnserved(this.#parts, this.#job);
  }

  /** Waits for new progress and returns it; undefined at the end. */
  async next(): Promise<string | undefined> {
    const { id } = this.#job;
    for (;;) {
      if (this.#error !== undefined) throw this.#error.error;
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest !== undefined) return latest;
      if (this.#end?.kind === 'missing') throw new UnknownJobError(id, this.#queue);
      if (this.#end?.kind === 'unreadable') await jobOutcomeOf(this.#parts.store, { queue: this.#queue, id }); // throws the reason
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  stop(): void {
    this.#stop?.();
    this.#limits.stop();
  }

  /** Ends the wait with the error, after the progress reported so far. */
  async #giveUp(error: Error): Promise<void> {
    try {
      const { id } = this.#job;
      if (this.#stop === undefined) return this.failed(error); // a run, or a job that was not found yet
      const outcome = await jobOutcomeOf(this.#parts.store, { queue: this.#queue, id });
      const progress = JSON.stringify(
        (await readJob(this.#parts.store, { queue: this.#queue, id }))?.progress,
      );
      if (progress !== undefined) this.reported(progress);
      if (outcome.kind === 'pending') this.failed(error);
      else this.ended({ kind: outcome.kind, text: undefined });
    } catch (other) {
      this.failed(other);
    }
  }
}
