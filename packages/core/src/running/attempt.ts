/** One attempt at one job: what its handler is given, and how long it may take. */
import type { Clock } from '../clock.js';
import { TimeLimitError } from '../errors.js';
import type { TaskEntry } from '../tasks/registry.js';
import type { Envelope } from '../wire/envelope.js';
import type { TaskContext } from './context.js';
import type { FlowChanges } from './flow-changes.js';
import type { ActiveJob } from './job.js';
import { JobContext } from './job-context.js';
import { type ReportParts, Reports } from './reports.js';

export class Attempt {
  readonly job: ActiveJob;
  readonly task: TaskEntry;
  readonly context: TaskContext;
  readonly reports: Reports;
  /** Of a job that takes several inputs in turn: which of all of them it is at. */
  item: number | undefined;
  /** Its span, if it is recorded. */
  trace: string | undefined;
  readonly #clock: Clock;

  #isGivenUp = false;

  constructor(
    job: ActiveJob,
    envelope: Envelope,
    task: TaskEntry,
    parts: ReportParts,
    changes: () => FlowChanges,
  ) {
    this.job = job;
    this.task = task;
    this.#clock = parts.clock;
    this.reports = new Reports(job, task, parts);
    this.context = new JobContext(job, envelope, this.reports, parts.clock, changes);
  }

  /** What `run` gives, unless the attempt is given up first: by its time limit, or because the job was revoked. */
  run<T>(limitMs: number | undefined, run: () => Promise<T>): Promise<T> {
    const ended = this.untilGivenUp(run);
    if (limitMs === undefined) return ended;
    const { job, task } = this;
    const timer = this.#clock.setDeadline(() => {
      job.giveUp(
        new TimeLimitError(
          `Task "${task.name}" did not end within its timeout of ${limitMs} ms (attempt ${job.attempt}).`,
        ),
      );
    }, limitMs);
    const clear = () => this.#clock.clearTimeout(timer);
    ended.then(clear, clear);
    return ended;
  }

  /** What `run` gives, unless the attempt is given up first. */
  untilGivenUp<T>(run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.job.onGiveUp((reason) => {
        this.#isGivenUp = true;
        reject(reason);
      });
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
}
