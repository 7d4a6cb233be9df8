/** Waits for the end of one job: for its outcome, or for all that it reports until then. */
import type { JobOutcome } from '../bullmq/store.js';
import type { JobEnd, JobWait } from '../bullmq/watcher.js';
import { isUmbelError, UnknownJobError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { GetOptions } from './async-result.js';
import { countsOverTime } from './following.js';
import { Ending } from './waiting.js';
import { type ResultParts, WaitLimits, type Watched, warnIfUnserved } from './watching.js';

export type Ended = Exclude<JobOutcome, { kind: 'pending' | 'missing' }>;

/** The final outcome, once there is one. @throws what ends the wait before. */
export function endOf(parts: ResultParts, job: Watched, options: GetOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    parts.store.checkOpen();
    new EndWait(parts, job, options, resolve, reject).begin();
  });
}

/** Thousands of these wait in one process: each holds little, and nothing is set for it that it does not need. */
class EndWait implements JobWait {
  readonly #parts: ResultParts;
  readonly #job: Watched;
  readonly #resolve: (ended: Ended) => void;
  readonly #reject: (error: unknown) => void;
  readonly #limits: WaitLimits | undefined;
  #queue: string | undefined;
  #stop: (() => void) | undefined;
  #isOver = false;
  /** A store that was there once may come back. */
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
    if (this.#leave()) this.#reject(error);
  }

  lasts(): void {
    // A test's workers are its own affair.
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
    const isLeft = () => this.#isOver;
    this.isPatient = true;
    try {
      this.#settle(queue, await this.#parts.store.outcomeOfEnd(queue, this.#job.id, end, isLeft));
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION')) this.#wait(queue);
      else this.failed(error);
    }
  }

  #settle(queue: string, outcome: JobOutcome): void {
    if (outcome.kind === 'pending') this.#wait(queue);
    else if (outcome.kind === 'missing') this.failed(new UnknownJobError(this.#job.id, queue));
    else if (this.#leave()) this.#resolve(outcome);
  }

  /** Ends with the error, unless the job has ended. */
  async #giveUp(error: Error): Promise<void> {
    try {
      const queue = this.#queue ?? (await this.#job.find());
      if (queue === undefined) return this.failed(error);
      const outcome = await this.#parts.store.outcome(queue, this.#job.id, () => this.#isOver);
      if (outcome.kind === 'pending') this.failed(error);
      else this.#settle(queue, outcome);
    } catch (other) {
      this.failed(other);
    }
  }

  /** Whether the wait was not over before. */
  #leave(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#stop?.();
    this.#limits?.stop();
    return true;
  }
}

/**
 * What the job reports, the latest value first, until it ends: its counts, if it is a run. Values that come faster than
 * they are taken are left out.
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
      const progress = store.progressIn(queue, job.id, text, task);
      const { value, json, task: name } = progress instanceof Promise ? await progress : progress;
      task ??= name;
      // The task's own state is reported with it, and may be all that is new.
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
  readonly #ending = new Ending();
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

  /** The queue that holds the job. */
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

  /** What was reported last, once that is new; undefined at the end. */
  async next(): Promise<string | undefined> {
    const { id } = this.#job;
    for (;;) {
      if (this.#error !== undefined) throw this.#error.error;
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest !== undefined) return latest;
      if (this.#end?.kind === 'missing') throw new UnknownJobError(id, this.#queue);
      if (this.#end?.kind === 'unreadable') await this.#parts.store.outcome(this.#queue, id); // says why
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

  /** Ends with the error, after what was reported by now. */
  async #giveUp(error: Error): Promise<void> {
    try {
      const { id } = this.#job;
      if (this.#stop === undefined) return this.failed(error); // of a run, or one that is not found
      const outcome = await this.#parts.store.outcome(this.#queue, id);
      const progress = JSON.stringify((await this.#parts.store.job(this.#queue, id))?.progress);
      if (progress !== undefined) this.reported(progress);
      if (outcome.kind === 'pending') this.failed(error);
      else this.ended({ kind: outcome.kind, text: undefined });
    } catch (other) {
      this.failed(other);
    }
  }
}
