/** What a handler reports while it runs: log lines, progress, states of its own. Masked, sealed, and in order. */
import type { Clock } from '../clock.js';
import { InvalidOptionError, JobStateError, ValidationError } from '../errors.js';
import type { TaskEntry } from '../tasks/registry.js';
import { toError } from '../wire/error-record.js';
import { jsonIssues } from '../wire/json.js';
import { type Mask, NO_MASK } from '../wire/masking.js';
import { OWN_STATE } from '../wire/progress.js';
import { validate } from '../wire/schema.js';
import type { CodecContext, Sealer } from '../wire/sealing.js';
import type { TaskLog } from './context.js';
import type { ActiveJob } from './job.js';
import type { LogLevel } from './worker/activity.js';

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
