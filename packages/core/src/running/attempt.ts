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
    const { job, task } = this;
    this.#timer = this.#parts.clock.setDeadline(() => {
      job.giveUp(
        new TimeLimitError(
          `Task "${task.name}" did not end within its timeout of ${ms} ms (attempt ${job.attempt}).`,
        ),
      );
    }, ms);
  }

  /**
   * What the handler gives, or what `instead` makes of what it throws; unless the attempt is given up before: by its
   * limit, or because the job was revoked or lost.
   */
  outcomeOf<T>(handled: Promise<T>, instead: (thrown: unknown) => T | Promise<T> = rethrown): Promise<T> {
    return new Promise((resolve, reject) => {
      this.job.onGiveUp((reason) => {
        this.#isGivenUp = true;
        this.#endLimit();
        reject(reason);
      });
      handled.then(
        (value) => {
          this.#endLimit();
          resolve(value);
        },
        (thrown: unknown) => {
          this.#endLimit();
          if (!this.#isGivenUp) resolve(instead(thrown));
        },
      );
    });
  }

  /** What `run` gives, unless the attempt is given up first. */
  untilGivenUp<T>(run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.job.onGiveUp(reject);
      run().then(resolve, reject);
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

  #endLimit(): void {
    if (this.#timer === undefined) return;
    this.#parts.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function rethrown(thrown: unknown): Promise<never> {
  return Promise.reject(thrown);
}
