/** Runs the handler of an isolated task in a child process: the child's side of `run.ts`. */

import { JobStateError, ValidationError, type ValidationSubject } from '../../base/errors.js';
import { ChildProcessError } from '../../base/failures.js';
import { type Clock, systemClock } from '../../base/time.js';
import { createAbortController } from '../../base/wait.js';
import { toError } from '../../codec/error-record.js';
import { jsonIssues } from '../../codec/json.js';
import { validate } from '../../codec/schema.js';
import type { TaskContext, TaskLog } from '../../task/context.js';
import { logText } from '../attempt.js';
import { type AttemptReports, JobContext } from '../context.js';
import { NO_CHANGES } from '../flow-changes.js';
import {
  type FromChild,
  type HandledTask,
  type ReportAnswer,
  type RunEnd,
  type RunRequest,
  rebuildThrown,
  recordThrown,
} from './messages.js';

export type Send = (message: FromChild) => void;

interface PendingReport {
  resolve(): void;
  reject(reason: Error): void;
}

export class ChildRun implements AttemptReports {
  readonly #request: RunRequest;
  readonly #task: HandledTask;
  readonly #send: Send;
  readonly #pending = new Map<number, PendingReport>();
  #reports = 0;
  #isOver = false;

  constructor(request: RunRequest, task: HandledTask, send: Send) {
    this.#request = request;
    this.#task = task;
    this.#send = send;
  }

  get number(): number {
    return this.#request.run;
  }

  /** Runs the handler and sends its end. */
  async execute(): Promise<void> {
    const end = await this.#end();
    this.#isOver = true;
    try {
      this.#send({ ...end, run: this.#request.run });
    } catch (error) {
      const subject = end.kind === 'result' ? 'result' : 'failure';
      const thrown = recordThrown(this.#notTransferable(subject, error));
      this.#send({ kind: 'thrown', thrown, run: this.#request.run });
    }
  }

  receive({ report, error }: ReportAnswer): void {
    const pending = this.#pending.get(report);
    this.#pending.delete(report);
    if (error === undefined) pending?.resolve();
    else pending?.reject(rebuildThrown(error));
  }

  log(): TaskLog {
    const { run } = this.#request;
    const write = (level: keyof TaskLog) => (message: string, details?: unknown) => {
      if (!this.#isOver) this.#send({ kind: 'log', level, text: logText(message, details), run });
    };
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }

  progress(value: unknown): Promise<void> {
    return this.#report((report) => {
      if (this.#task.progress === undefined) this.#checkJson('progress', value);
      this.#send({ kind: 'progress', report, value, run: this.#request.run });
    });
  }

  state(state: string): Promise<void> {
    return this.#report((report) => this.#send({ kind: 'state', report, state, run: this.#request.run }));
  }

  async #end(): Promise<RunEnd> {
    const { name, input: schema, output, run } = this.#task;
    try {
      const input =
        schema === undefined ? undefined : await validate(schema, this.#request.input, name, 'input');
      const value = await run(input, this.#context());
      if (output === undefined) this.#checkJson('result', value);
      return { kind: 'result', value };
    } catch (error) {
      return { kind: 'thrown', thrown: recordThrown(error) };
    }
  }

  #context(): TaskContext {
    const { context: data, added, withheld, aheadMs } = this.#request;
    const clock: Clock = { ...systemClock, now: () => systemClock.now() - aheadMs };
    // It is never aborted: an abort kills this process.
    const { signal } = createAbortController();
    const job = { ...data, enqueuedAt: data.enqueuedAt.getTime(), signal };
    const source = { clock, reports: this, changes: NO_CHANGES };
    const { runId, rootId, parentId, idempotencyKey, headers, tags } = data;
    const envelope = {
      ...{ root: rootId, key: idempotencyKey, headers, tags },
      ...(runId !== undefined && { run: runId }),
      ...(parentId !== undefined && { parent: parentId }),
    };
    const context = Object.assign(new JobContext(job, envelope, source), added);
    for (const key of withheld) {
      Object.defineProperty(context, key, { get: () => this.#refuse(key) });
    }
    return context;
  }

  #refuse(key: string): never {
    throw new ChildProcessError(
      `ctx.${key} was added by middleware in the worker and is not plain data, so it is not available to the isolated ` +
        `task "${this.#task.name}" in its child process. Create it in the module of the task.`,
    );
  }

  async #report(send: (report: number) => void): Promise<void> {
    const { id, attempt } = this.#request.context;
    if (this.#isOver) {
      throw new JobStateError(
        `Attempt ${attempt} of job ${id} is over and cannot report. Await the report in the handler.`,
      );
    }
    this.#reports += 1;
    const report = this.#reports;
    await new Promise<void>((resolve, reject) => {
      this.#pending.set(report, { resolve, reject });
      try {
        send(report);
      } catch (error) {
        this.#pending.delete(report);
        reject(error instanceof ValidationError ? error : this.#notTransferable('progress', error));
      }
    });
  }

  /** Checks a value without a schema: an object would silently lose data on its way to the worker. */
  #checkJson(subject: ValidationSubject, value: unknown): void {
    const issues = jsonIssues(value, subject);
    if (issues.length > 0) throw new ValidationError(this.#task.name, subject, issues);
  }

  #notTransferable(subject: ValidationSubject, error: unknown): ValidationError {
    const message = `it cannot leave the child process: ${toError(error).message}`;
    return new ValidationError(this.#task.name, subject, [{ path: subject, message }]);
  }
}
