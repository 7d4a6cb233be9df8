/** One attempt at one job: what its handler is given, and how long it may take. */
import { TimeLimitError } from '../errors.js';
import type { TaskEntry } from '../tasks/registry.js';
import type { Envelope } from '../wire/envelope.js';
import type { TaskContext } from './context.js';
import type { FlowChanges } from './flow-changes.js';
import type { ActiveJob } from './job.js';
import { JobContext } from './job-context.js';
import { type ReportParts, Reports } from './reports.js';

/** What all attempts have in common. */
export interface AttemptParts<Changes extends FlowChanges = FlowChanges> extends ReportParts {
  /** Made for handlers that ask for it. */
  readonly changes: (attempt: Attempt) => Changes;
}

export class Attempt {
  readonly job: ActiveJob;
  readonly envelope: Envelope;
  readonly task: TaskEntry;
  readonly context: TaskContext;
  readonly reports: Reports;
  /** Of a job that takes several inputs in turn: which of all of them it is at. */
  item: number | undefined;
  /** Its span, if it is recorded. */
  trace: string | undefined;
  readonly #parts: AttemptParts;
  #timeoutMs = 0;
  /** What is left of the limit, as it was started last; undefined without one. */
  #leftMs: number | undefined;
  #limitedSince = 0;
  /** Of its limit. */
  #timer: unknown;
  #isGivenUp = false;

  constructor(job: ActiveJob, envelope: Envelope, task: TaskEntry, parts: AttemptParts) {
    this.job = job;
    this.envelope = envelope;
    this.task = task;
    this.#parts = parts;
    this.reports = new Reports(job, task, parts);
    this.context = new JobContext(job, envelope, this.reports, parts.clock, () => parts.changes(this));
  }

  /** Gives it up if its outcome is not there in time. */
  limit(ms: number | undefined): void {
    if (ms === undefined) return;
    this.#timeoutMs = ms;
    this.#startLimit(ms);
  }

  /** Ends the limit, which then ends no attempt that is just being given up or stored. */
  endLimit(): void {
    this.#stopLimit();
    this.#leftMs = undefined;
  }

  /** Stops the limit until `work` is done, which is not the task's; it goes on with the time that was left. */
  async withoutLimit<T>(work: Promise<T>): Promise<T> {
    if (this.#leftMs === undefined) return work;
    this.#stopLimit();
    this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - this.#limitedSince));
    try {
      return await work;
    } finally {
      if (this.#leftMs !== undefined) this.#startLimit(this.#leftMs); // it may have ended meanwhile
    }
  }

  /**
   * What the handler gives, or what `instead` makes of what it throws; unless the attempt is given up before: by its
   * limit, or because the job was revoked or lost.
   */
  outcomeOf<T>(handled: Promise<T>, instead: (thrown: unknown) => T | Promise<T> = rethrown): Promise<T> {
    return new Promise((resolve, reject) => {
      this.job.onGiveUp((reason) => {
        this.#isGivenUp = true;
        this.endLimit();
        reject(reason);
      });
      const end = (value: T) => {
        this.endLimit();
        resolve(value);
      };
      const fail = (error: unknown) => {
        this.endLimit();
        reject(error);
      };
      handled.then(end, (thrown: unknown) => {
        if (this.#isGivenUp) return;
        if (instead === rethrown) fail(thrown);
        else Promise.resolve(instead(thrown)).then(end, fail);
      });
    });
  }

  /** What `run` gives, unless the attempt is given up first. */
  untilGivenUp<T>(run: () => Promise<T>): Promise<T> {
    const { job } = this;
    return new Promise((resolve, reject) => {
      job.onGiveUp(reject);
      run().then(
        (value) => {
          job.offGiveUp(reject);
          resolve(value);
        },
        (thrown: unknown) => {
          job.offGiveUp(reject);
          reject(thrown);
        },
      );
    });
  }

  /** Whether nobody waits for it any more. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** Adds to the context what middleware gives, also over what is there. */
  add(added: unknown): void {
    for (const [key, value] of Object.entries(added ?? {})) {
      Object.defineProperty(this.context, key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
  }

  #startLimit(ms: number): void {
    const { job, task } = this;
    this.#leftMs = ms;
    this.#limitedSince = performance.now();
    this.#timer = this.#parts.clock.setDeadline(() => {
      job.giveUp(
        new TimeLimitError(
          `Task "${task.name}" did not end within its timeout of ${this.#timeoutMs} ms (attempt ${job.attempt}).`,
        ),
      );
    }, ms);
  }

  #stopLimit(): void {
    if (this.#timer === undefined) return;
    this.#parts.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function rethrown(thrown: unknown): Promise<never> {
  return Promise.reject(thrown);
}
