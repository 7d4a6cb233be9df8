/**
 * One attempt at one job: its context, its reports (log lines, progress, custom states) and its timeout.
 * Reports are masked, encoded and stored in order.
 */

import { InvalidOptionError, JobStateError, ValidationError } from '../base/errors.js';
import { TimeLimitError } from '../base/failures.js';
import { performance } from '../base/real-timers.js';
import type { Clock } from '../base/time.js';
import type { CodecContext, Sealer } from '../codec/codecs.js';
import { toError } from '../codec/error-record.js';
import { jsonIssues } from '../codec/json.js';
import { type Mask, NO_MASK } from '../codec/masking.js';
import { validate } from '../codec/schema.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import { OWN_STATE } from '../job/states.js';
import type { TaskContext, TaskLog } from '../task/context.js';
import type { TaskEntry } from '../task/definition.js';
import type { LogLevel } from './activity.js';
import { type AttemptReports, type ContextSource, JobContext } from './context.js';
import type { FlowChanges } from './flow-changes.js';

/** Maximum length of a log line in characters. */
const MAX_LINE = 10_000;

export interface ReportDependencies {
  readonly clock: Clock;
  readonly sealer: Sealer;
  /** Maximum size of a progress value, in bytes of JSON. */
  readonly maxBytes: number;
  readonly onError: (error: Error) => void;
  /** Receives each log line, masked. */
  readonly onLog?: ((job: ActiveJob, level: LogLevel, line: string) => void) | undefined;
}

export class Reports implements AttemptReports {
  /** Hides sensitive values, once they are known. */
  mask: Mask = NO_MASK;
  readonly #job: ActiveJob;
  readonly #task: TaskEntry;
  readonly #dependencies: ReportDependencies;
  #last: Promise<unknown> | undefined;
  #isOver = false;
  #progress: unknown;
  #state: string | undefined;

  constructor(job: ActiveJob, task: TaskEntry, dependencies: ReportDependencies) {
    this.#job = job;
    this.#task = task;
    this.#dependencies = dependencies;
  }

  log(): TaskLog {
    const write = (level: LogLevel) => (message: string, details?: unknown) =>
      this.#log(level, message, details);
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }

  async progress(value: unknown): Promise<void> {
    const { name, progress } = this.#task;
    const checked = progress === undefined ? value : await validate(progress, value, name, 'progress');
    const issues =
      checked === undefined
        ? [{ path: 'progress', message: 'JSON cannot carry undefined' }]
        : jsonIssues(checked, 'progress', this.#dependencies.maxBytes);
    if (issues.length > 0) throw new ValidationError(name, 'progress', issues);
    this.#progress = this.mask.value(checked);
    await this.#store();
  }

  async state(state: string): Promise<void> {
    const { name, states = [] } = this.#task;
    if (!states.includes(state)) {
      const known = states.map((name) => `'${name}'`).join(', ') || 'none';
      throw new InvalidOptionError('state', `one of the states of task "${name}" (${known})`, state);
    }
    this.#state = state;
    await this.#store();
  }

  /** Accepts no further reports. Returns a promise if a write is pending. */
  end(): Promise<unknown> | undefined {
    this.#isOver = true;
    return this.#last;
  }

  #log(level: LogLevel, message: string, details: unknown): void {
    const time = new Date(this.#dependencies.clock.now()).toISOString();
    const head = `${time} ${level} `;
    const line = this.mask.text(`${head}${logText(message, details)}`);
    const short = line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
    this.#dependencies.onLog?.(this.#job, level, short.slice(head.length));
    this.#inOrder(async () => {
      const sealed = await this.#seal(short, 'log');
      await this.#job.log(typeof sealed === 'string' ? sealed : JSON.stringify(sealed));
    }).catch((error: unknown) => this.#dependencies.onError(toError(error)));
  }

  #store(): Promise<void> {
    return this.#inOrder(async () => {
      const progress = await this.#seal(this.#progress, 'progress');
      const state = this.#state;
      await this.#job.updateProgress(
        state === undefined
          ? progress
          : { [OWN_STATE]: state, attempt: this.#job.attempt, ...(progress !== undefined && { progress }) },
      );
    });
  }

  #seal(value: unknown, subject: CodecContext['subject']): Promise<unknown> {
    return this.#dependencies.sealer.encode(value, { subject, id: this.#job.id, task: this.#task.name });
  }

  #inOrder(write: () => Promise<void>): Promise<void> {
    if (this.#isOver) {
      return Promise.reject(
        new JobStateError(
          `Attempt ${this.#job.attempt} of job ${this.#job.id} is over and cannot report. Await the report in the handler.`,
        ),
      );
    }
    const writing = (this.#last ?? Promise.resolve()).then(write);
    this.#last = writing.catch(() => {});
    return writing;
  }
}

/** Returns a message and its details as one line. */
export function logText(message: string, details: unknown): string {
  return details === undefined ? message : `${message} ${jsonOf(details)}`;
}

function jsonOf(value: unknown): string {
  try {
    return value instanceof Error
      ? `${value.name}: ${value.message}`
      : (JSON.stringify(value) ?? String(value));
  } catch {
    return String(value);
  }
}

/** The dependencies that all attempts of an executor share. */
export interface AttemptDependencies<Changes extends FlowChanges = FlowChanges> extends ReportDependencies {
  /** Creates the changes of the run; called when a handler first uses them. */
  readonly changes: (attempt: Attempt) => Changes;
}

export class Attempt implements ContextSource {
  readonly job: ActiveJob;
  readonly envelope: Envelope;
  readonly task: TaskEntry;
  readonly context: TaskContext;
  /** Index of the current input, in a job of `chunks()`. */
  item: number | undefined;
  /** Its input before and after validation, once its handler is called. */
  received: { readonly input: unknown; readonly decoded: unknown } | undefined;
  /** Its `traceparent`, if the attempt is recorded. */
  trace: string | undefined;
  readonly #dependencies: AttemptDependencies;
  #reports: Reports | undefined;
  #changes: FlowChanges | undefined;
  #isOver = false;
  #timeoutMs = 0;
  /** Remaining time when the limit was last started; undefined without a limit. */
  #remainingMs: number | undefined;
  #limitStartedAt = 0;
  #timer: unknown;
  #isGivenUp = false;

  constructor(job: ActiveJob, envelope: Envelope, task: TaskEntry, dependencies: AttemptDependencies) {
    this.job = job;
    this.envelope = envelope;
    this.task = task;
    this.#dependencies = dependencies;
    this.context = new JobContext(job, envelope, this);
  }

  get clock(): Clock {
    return this.#dependencies.clock;
  }

  /** Created at first use, like `changes`: most handlers report nothing. */
  get reports(): Reports {
    if (this.#reports === undefined) {
      this.#reports = new Reports(this.job, this.task, this.#dependencies);
      if (this.#isOver) void this.#reports.end();
    }
    return this.#reports;
  }

  get changes(): FlowChanges {
    this.#changes ??= this.#dependencies.changes(this);
    return this.#changes;
  }

  /** Hides sensitive values, once they are known. */
  get mask(): Mask {
    return this.#reports?.mask ?? NO_MASK;
  }

  /** Accepts no further reports. Returns a promise if a write is pending. */
  endReports(): Promise<unknown> | undefined {
    this.#isOver = true;
    return this.#reports?.end();
  }

  /** Starts the timeout, after which the attempt is aborted. */
  limit(ms: number | undefined): void {
    if (ms === undefined) return;
    this.#timeoutMs = ms;
    this.#startLimit(ms);
  }

  /** Ends the timeout, so that it cannot abort an attempt whose outcome is decided. */
  endLimit(): void {
    this.#stopLimit();
    this.#remainingMs = undefined;
  }

  /** Pauses the timeout during `work`, which is not done by the task. */
  async withoutLimit<T>(work: Promise<T>): Promise<T> {
    if (this.#remainingMs === undefined) return work;
    this.#stopLimit();
    this.#remainingMs = Math.max(0, this.#remainingMs - (performance.now() - this.#limitStartedAt));
    try {
      return await work;
    } finally {
      if (this.#remainingMs !== undefined) this.#startLimit(this.#remainingMs); // the limit may have ended during the work
    }
  }

  /**
   * Resolves with the handler's result, or with what `instead` returns for its error. Rejects as soon as the attempt is
   * aborted: by its timeout, or because the job was revoked or lost.
   */
  outcomeOf<T>(handled: Promise<T>, instead?: (attempt: Attempt, thrown: unknown) => Promise<T>): Promise<T> {
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
      handled.then(end, (thrown: unknown) => {
        if (this.#isGivenUp) return;
        const fail = (error: unknown) => {
          this.endLimit();
          reject(error);
        };
        if (instead === undefined) fail(thrown);
        else instead(this, thrown).then(end, fail);
      });
    });
  }

  /** Resolves with the result of `run`; rejects as soon as the attempt is aborted. */
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

  /** Whether the attempt was aborted. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** Adds the properties from middleware to the context; they replace existing ones. */
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
    this.#remainingMs = ms;
    this.#limitStartedAt = performance.now();
    this.#timer = this.#dependencies.clock.setDeadline(() => {
      job.giveUp(
        new TimeLimitError(
          `Task "${task.name}" did not end within its timeout of ${this.#timeoutMs} ms (attempt ${job.attempt}).`,
        ),
      );
    }, ms);
  }

  #stopLimit(): void {
    if (this.#timer === undefined) return;
    this.#dependencies.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
