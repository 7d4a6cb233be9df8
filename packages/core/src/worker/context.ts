/** The `ctx` of a handler, in the worker and in the child process of an isolated task. */

import { ExpectedFailureError, RejectedError } from '../base/failures.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { type Clock, type Duration, durationMs } from '../base/time.js';
import { onAbort } from '../base/wait.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import type { MemberOptions, RetryRequestOptions, TaskContext, TaskLog } from '../task/context.js';
import { isSendOption } from '../task/options.js';
import { RetryRequest } from '../task/retry.js';
import { droppedOptions, hasOptions } from '../task/signature.js';
import type { FlowChanges } from './flow-changes.js';

type JobFacts = Pick<ActiveJob, 'id' | 'name' | 'queue' | 'attempt' | 'enqueuedAt' | 'signal'>;
/** The changes of the run and the reports of an attempt, created at their first use. */
export interface ContextSource {
  readonly clock: Clock;
  readonly reports: AttemptReports;
  readonly changes: FlowChanges;
}

/** The reports that a context offers to its handler. */
export interface AttemptReports {
  log(): TaskLog;
  progress(value: unknown): Promise<void>;
  state(state: string): Promise<void>;
}

type EnvelopeFacts = Pick<Envelope, 'run' | 'alone' | 'headers' | 'tags' | 'parent' | 'root' | 'key'>;

const RETRY: OptionNames<RetryRequestOptions> = { in: true, reason: true, cause: true, countAttempt: true };
const MEMBER: OptionNames<MemberOptions> = { key: true };
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * The context of one attempt. Functions are created on first access, because most handlers use few of them, and they work
 * after destructuring (`{ log, progress }`).
 */
export class JobContext implements TaskContext {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly attempt: number;
  readonly runId?: string;
  readonly rootId: string;
  readonly parentId?: string;
  readonly idempotencyKey: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly #job: JobFacts;
  readonly #source: ContextSource;
  #log: TaskLog | undefined;

  constructor(job: JobFacts, envelope: EnvelopeFacts, source: ContextSource) {
    const { parent, root, key } = envelope;
    const run = envelope.alone ? undefined : envelope.run;
    this.id = job.id;
    this.name = job.name;
    this.queue = job.queue;
    this.attempt = job.attempt;
    if (run !== undefined) this.runId = run;
    this.rootId = root ?? run ?? job.id;
    const parentId = parent ?? run;
    if (parentId !== undefined) this.parentId = parentId;
    this.idempotencyKey = key ?? job.id;
    this.headers = envelope.headers ?? NO_HEADERS;
    this.tags = envelope.tags ?? NO_TAGS;
    this.#job = job;
    this.#source = source;
  }

  get enqueuedAt(): Date {
    return new Date(this.#job.enqueuedAt);
  }

  get signal(): AbortSignal {
    return this.#job.signal;
  }

  get log(): TaskLog {
    this.#log ??= this.#source.reports.log();
    return this.#log;
  }

  get now(): TaskContext['now'] {
    return () => this.#source.clock.now();
  }

  get sleep(): TaskContext['sleep'] {
    return (duration: Duration) =>
      sleep(this.#source.clock, durationMs(duration, 'duration'), this.#job.signal);
  }

  get progress(): TaskContext['progress'] {
    return (value) => this.#source.reports.progress(value);
  }

  get setState(): TaskContext['setState'] {
    return (state) => this.#source.reports.state(state);
  }

  get fail(): TaskContext['fail'] {
    return (failure: string, ...data: readonly unknown[]) => {
      throw new ExpectedFailureError(failure, data[0]);
    };
  }

  get retry(): TaskContext['retry'] {
    return (options = {}) => {
      const { in: wait, reason, cause, countAttempt = true } = checkOptions(options, RETRY);
      const delayMs = wait === undefined ? undefined : durationMs(wait, 'in');
      const isCounted = checkBoolean('countAttempt', countAttempt);
      throw new RetryRequest(reason, delayMs, cause === undefined ? undefined : { cause }, isCounted);
    };
  }

  get stop(): TaskContext['stop'] {
    return (value) => this.#source.changes.stop(value);
  }

  get replace(): TaskContext['replace'] {
    return (step, ...input) => this.#source.changes.replace(step, onlyInput('ctx.replace', input));
  }

  get addToGroup(): TaskContext['addToGroup'] {
    return (step, ...[input, options]: readonly unknown[]) =>
      this.#source.changes.addToGroup(step, input, memberOptions(options));
  }

  get reject(): TaskContext['reject'] {
    return (reason) => {
      throw new RejectedError(`The handler of task "${this.name}" rejected its job: ${reason}`);
    };
  }
}

/** Returns the input. @throws {InvalidOptionError} if options follow it, which would be ignored. */
function onlyInput(method: string, [input, ...more]: readonly unknown[]): unknown {
  if (hasOptions(more)) throw droppedOptions(method, `${method}(step.set({ … }), input)`, more);
  return input;
}

/** Returns the checked options. @throws {InvalidOptionError} if some are send options, which belong to the step. */
function memberOptions(options: unknown): MemberOptions | undefined {
  if (options === undefined) return undefined;
  if (!isPlainObject(options) || Object.keys(options).some(isSendOption))
    throw droppedOptions('ctx.addToGroup', 'ctx.addToGroup(step.set({ … }), input)', [options]);
  return checkOptions<MemberOptions>(options, MEMBER);
}

/** Resolves after `ms`; rejects with the signal's reason once it is aborted. */
function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = clock.setTimeout(() => {
      stopListening();
      resolve();
    }, ms);
    const stopListening = onAbort(signal, (reason) => {
      clock.clearTimeout(timer);
      reject(reason);
    });
  });
}
