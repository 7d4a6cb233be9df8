/** One attempt at one job: what its handler is given, and how long it may take. */

import { InvalidOptionError, JobStateError, TimeLimitError, ValidationError } from '../base/errors.js';
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
import { JobContext } from './context.js';
import type { FlowChanges } from './flow-changes.js';

// What a handler reports while it runs: log lines, progress, states of its own. Masked, sealed, and in order.

const MAX_LINE = 10_000;

export interface ReportParts {
  readonly clock: Clock;
  readonly sealer: Sealer;
  /** Longest progress, in bytes of JSON. */
  readonly maxBytes: number;
  readonly onError: (error: Error) => void;
  /** Is told of each line, masked. */
  readonly onLog?: ((job: ActiveJob, level: LogLevel, line: string) => void) | undefined;
}

/** What a context does with what its handler reports. */
export interface AttemptReports {
  log(): TaskLog;
  progress(value: unknown): Promise<void>;
  state(state: string): Promise<void>;
}

export class Reports implements AttemptReports {
  /** Hides sensitive values, once they are known. */
  mask: Mask = NO_MASK;
  readonly #job: ActiveJob;
  readonly #task: TaskEntry;
  readonly #parts: ReportParts;
  #last: Promise<unknown> | undefined;
  #isOver = false;
  #progress: unknown;
  #state: string | undefined;

  constructor(job: ActiveJob, task: TaskEntry, parts: ReportParts) {
    this.#job = job;
    this.#task = task;
    this.#parts = parts;
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
        : jsonIssues(checked, 'progress', this.#parts.maxBytes);
    if (issues.length > 0) throw new ValidationError(name, 'progress', issues);
    this.#progress = this.mask.value(checked);
    await this.#store();
  }

  async state(state: string): Promise<void> {
    const { name, states = [] } = this.#task;
    if (!states.includes(state)) {
      const known = states.map((own) => `'${own}'`).join(', ') || 'none';
      throw new InvalidOptionError('state', `one of the states of task "${name}" (${known})`, state);
    }
    this.#state = state;
    await this.#store();
  }

  /** Takes no more. Gives a promise to wait for if something is being written. */
  end(): Promise<unknown> | undefined {
    this.#isOver = true;
    return this.#last;
  }

  #log(level: LogLevel, message: string, details: unknown): void {
    const time = new Date(this.#parts.clock.now()).toISOString();
    const head = `${time} ${level} `;
    const line = this.mask.text(`${head}${logText(message, details)}`);
    const short = line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
    this.#parts.onLog?.(this.#job, level, short.slice(head.length));
    this.#inOrder(async () => {
      const sealed = await this.#seal(short, 'log');
      await this.#job.log(typeof sealed === 'string' ? sealed : JSON.stringify(sealed));
    }).catch((error: unknown) => this.#parts.onError(toError(error)));
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
    return this.#parts.sealer.seal(value, { subject, id: this.#job.id, task: this.#task.name });
  }

  #inOrder(write: () => Promise<void>): Promise<void> {
    if (this.#isOver) {
      return Promise.reject(
        new JobStateError(
          `Attempt ${this.#job.attempt} of job ${this.#job.id} is over: it cannot report any more.`,
        ),
      );
    }
    const writing = (this.#last ?? Promise.resolve()).then(write);
    this.#last = writing.catch(() => {});
    return writing;
  }
}

/** A message with its details, as one line shows them. */
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
