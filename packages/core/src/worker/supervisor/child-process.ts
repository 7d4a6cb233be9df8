/** One child process of a worker, seen from its supervisor: starts it, asks it, ends it, and reports its exit. */
import { type ChildProcess, fork } from 'node:child_process';
import { ChildProcessError } from '../../base/failures.js';
import { clearTimeout, performance, setTimeout } from '../../base/real-timers.js';
import { rebuildError } from '../../codec/error-record.js';
import type { CloseReason } from '../app-worker.js';
import type { WorkerHealth } from '../health.js';
import {
  EMPTY_REPORT,
  type EndReason,
  type FromProcess,
  type ProcessReport,
  type Question,
  readFromProcess,
  type ToProcess,
} from './messages.js';
import { identityVariables, type ProcessIdentity, type Program } from './plan.js';

/** Time beyond the jobs' timeout, for returning jobs and for the program's own shutdown code. */
const GRACE_MS = 5000;
/** Longest wait for an answer. */
const ANSWER_MS = 3000;

/** Receives the events of a process. */
export interface ProcessListener {
  running(): void;
  closing(): void;
  /** The process did not end in time and is killed. */
  killed(afterMs: number): void;
  /** The process has exited. Called once, after all other events. */
  exited(): void;
}

export interface Answer {
  readonly health?: WorkerHealth;
  readonly metrics?: readonly unknown[];
}

interface PendingQuestion {
  resolve(answer: FromProcess & { umbel: 'answer' }): void;
  reject(error: Error): void;
}

export class ChildWorkerProcess {
  /** Resolves when the process has exited, and never rejects. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  readonly #listener: ProcessListener;
  readonly #pending = new Map<number, PendingQuestion>();
  readonly #index: number;
  #report = EMPTY_REPORT;
  #isLoaded = false;
  #runningSince: number | undefined;
  #reason: CloseReason | undefined;
  #error: Error | undefined;
  #lastId = 0;
  #killTimer: NodeJS.Timeout | undefined;

  constructor({ file, args, execArgv }: Program, identity: ProcessIdentity, listener: ProcessListener) {
    this.#listener = listener;
    this.#index = identity.index;
    this.#process = fork(file, args, {
      execArgv: [...execArgv],
      env: { ...process.env, ...identityVariables(identity) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process.on('message', (message) => {
      const known = readFromProcess(message);
      if (known !== undefined) this.#receive(known);
    });
    this.exited = new Promise((resolve) => {
      const gone = () => {
        this.#onExit();
        resolve();
      };
      this.#process.once('exit', () => {
        // Messages that it sent before its exit are read until then.
        if (this.#process.connected) this.#process.once('disconnect', gone);
        else gone();
      });
      this.#process.on('error', (error) => {
        if (this.#process.pid !== undefined) return; // a message that could not be sent: its exit explains more
        this.#error = error;
        gone();
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Whether the program has created the worker. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Time since it started to take jobs; undefined before that. */
  get ranMs(): number | undefined {
    return this.#runningSince === undefined ? undefined : performance.now() - this.#runningSince;
  }

  /** The last report, at most a moment old. */
  get report(): ProcessReport {
    return this.#report;
  }

  /** The reason that the process gave for its end. */
  get reason(): CloseReason | undefined {
    return this.#reason;
  }

  /** The error of its start; else an error that says how it ended. */
  get error(): Error {
    return (
      this.#error ??
      new ChildProcessError(
        `Process ${this.#index} of the worker ${this.exit} before it took jobs. See its output above. ` +
          'The program must start the same workers in each of its processes.',
      )
    );
  }

  /** Describes how the process ended. */
  get exit(): string {
    const { exitCode, signalCode } = this.#process;
    return signalCode === null ? `ended with code ${exitCode}` : `was ended by ${signalCode}`;
  }

  /**
   * Sends a question and resolves with the answer. Removing a queue may take as long as its running jobs.
   * @throws the error that the process answers, or a `ChildProcessError` if it does not answer within 3 s.
   */
  async ask(question: Question): Promise<Answer> {
    this.#lastId += 1;
    const id = this.#lastId;
    let timer: NodeJS.Timeout | undefined;
    try {
      const { error, ...answer } = await new Promise<FromProcess & { umbel: 'answer' }>((resolve, reject) => {
        const onTimeout = () =>
          reject(new ChildProcessError(`Process ${this.#index} of the worker does not answer.`));
        if (question.umbel !== 'remove-queue') timer = setTimeout(onTimeout, ANSWER_MS);
        this.#pending.set(id, { resolve, reject });
        this.#send({ ...question, id });
      });
      if (error !== undefined) throw rebuildError(error);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Asks the process to end, and kills it `GRACE_MS` after the timeout of its jobs, if they have one. */
  close(reason: EndReason, timeoutMs: number | undefined): void {
    // A process without a worker has no jobs.
    if (!this.#isLoaded) this.forward('SIGTERM');
    else this.#send({ umbel: 'close', reason, ...(timeoutMs !== undefined && { timeoutMs }) });
    if (!this.#isLoaded) this.#killAfter(GRACE_MS);
    else if (timeoutMs !== undefined) this.#killAfter(timeoutMs + GRACE_MS);
  }

  /** Asks the process to return its jobs and end. */
  abort(): void {
    if (!this.#isLoaded) this.forward('SIGTERM');
    else this.#send({ umbel: 'abort' });
    this.#killAfter(GRACE_MS);
  }

  forward(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  #killAfter(ms: number): void {
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => {
      this.#listener.killed(ms);
      this.#process.kill('SIGKILL');
    }, ms);
  }

  #send(message: ToProcess): void {
    if (this.#process.connected) this.#process.send(message, () => {}); // its exit explains more
  }

  #receive(message: FromProcess): void {
    if (message.umbel === 'loaded') this.#isLoaded = true;
    else if (message.umbel === 'report') this.#report = message.report;
    else if (message.umbel === 'failed') this.#error = rebuildError(message.error);
    else if (message.umbel === 'answer') this.#pending.get(message.id)?.resolve(message);
    else if (message.umbel === 'closing') {
      this.#reason = message.reason;
      this.#listener.closing();
    } else {
      this.#runningSince = performance.now();
      this.#listener.running();
    }
  }

  #onExit(): void {
    clearTimeout(this.#killTimer);
    for (const { reject } of this.#pending.values()) reject(this.error);
    this.#listener.exited();
  }
}
