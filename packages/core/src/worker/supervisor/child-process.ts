/** A process of a worker, as its supervisor sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { ChildProcessError } from '../../base/errors.js';
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
import type { Program } from './plan.js';
import { identityVariables, type ProcessIdentity } from './plan.js';

/** Beyond the time that its jobs have, for what is given back and for what the program does at its end. */
const GRACE_MS = 5000;
/** How long an answer may take. */
const ANSWER_MS = 3000;

/** Is told what a process does. */
export interface ProcessListener {
  running(): void;
  closing(): void;
  /** It did not end in time, and is killed. */
  killed(afterMs: number): void;
  /** It is gone. Called once, the last of all. */
  exited(): void;
}

/** What a process answers. */
export interface Answer {
  readonly health?: WorkerHealth;
  readonly metrics?: readonly unknown[];
}

interface Waiting {
  resolve(answer: FromProcess & { umbel: 'answer' }): void;
  reject(error: Error): void;
}

export class ChildWorkerProcess {
  /** Settles when the process is gone, and never rejects. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  readonly #listener: ProcessListener;
  readonly #waiting = new Map<number, Waiting>();
  readonly #index: number;
  #report = EMPTY_REPORT;
  #isLoaded = false;
  #runsSince: number | undefined;
  #reason: CloseReason | undefined;
  #error: Error | undefined;
  #lastId = 0;
  #killTimer: NodeJS.Timeout | undefined;

  constructor({ file, args, execArgv }: Program, place: ProcessIdentity, listener: ProcessListener) {
    this.#listener = listener;
    this.#index = place.index;
    this.#process = fork(file, args, {
      execArgv: [...execArgv],
      env: { ...process.env, ...identityVariables(place) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process.on('message', (message) => {
      const known = readFromProcess(message);
      if (known !== undefined) this.#receive(known);
    });
    this.exited = new Promise((resolve) => {
      const gone = () => {
        this.#gone();
        resolve();
      };
      this.#process.once('exit', () => {
        // What it had sent is read until then.
        if (this.#process.connected) this.#process.once('disconnect', gone);
        else gone();
      });
      this.#process.on('error', (error) => {
        if (this.#process.pid !== undefined) return; // a message that could not be sent: its exit tells more
        this.#error = error;
        gone();
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Whether its program has made the worker. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** How long it has taken jobs; undefined if it has not begun to. */
  get ranMs(): number | undefined {
    return this.#runsSince === undefined ? undefined : performance.now() - this.#runsSince;
  }

  /** As it was told last, a moment ago. */
  get report(): ProcessReport {
    return this.#report;
  }

  /** Why it ends, as it said. */
  get reason(): CloseReason | undefined {
    return this.#reason;
  }

  /** Why it does not run: what its start came to, else how it ended. */
  get error(): Error {
    return (
      this.#error ??
      new ChildProcessError(
        `Process ${this.#index} of the worker ${this.exit} before it took jobs: see what it has written before that. ` +
          'The program has to start the same workers in each of its processes.',
      )
    );
  }

  /** How it ended, in words. */
  get exit(): string {
    const { exitCode, signalCode } = this.#process;
    return signalCode === null ? `ended with code ${exitCode}` : `was ended by ${signalCode}`;
  }

  /**
   * @throws what the process answers, or a `ChildProcessError` if it does not answer in time. A queue's end may take as
   * long as its jobs.
   */
  async ask(question: Question): Promise<Answer> {
    this.#lastId += 1;
    const id = this.#lastId;
    let timer: NodeJS.Timeout | undefined;
    try {
      const { error, ...answer } = await new Promise<FromProcess & { umbel: 'answer' }>((resolve, reject) => {
        const late = () =>
          reject(new ChildProcessError(`Process ${this.#index} of the worker does not answer.`));
        if (question.umbel !== 'remove-queue') timer = setTimeout(late, ANSWER_MS);
        this.#waiting.set(id, { resolve, reject });
        this.#send({ ...question, id });
      });
      if (error !== undefined) throw rebuildError(error);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Lets it end, and kills it when it takes too long: `GRACE_MS` more than its jobs have, if these have a limit. */
  close(reason: EndReason, timeoutMs: number | undefined): void {
    // One that has not made its worker has no jobs.
    if (!this.#isLoaded) this.forward('SIGTERM');
    else this.#send({ umbel: 'close', reason, ...(timeoutMs !== undefined && { timeoutMs }) });
    if (!this.#isLoaded) this.#killAfter(GRACE_MS);
    else if (timeoutMs !== undefined) this.#killAfter(timeoutMs + GRACE_MS);
  }

  /** Lets it give back its jobs and end. */
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
    if (this.#process.connected) this.#process.send(message, () => {}); // its exit tells more
  }

  #receive(message: FromProcess): void {
    if (message.umbel === 'loaded') this.#isLoaded = true;
    else if (message.umbel === 'report') this.#report = message.report;
    else if (message.umbel === 'failed') this.#error = rebuildError(message.error);
    else if (message.umbel === 'answer') this.#waiting.get(message.id)?.resolve(message);
    else if (message.umbel === 'closing') {
      this.#reason = message.reason;
      this.#listener.closing();
    } else {
      this.#runsSince = performance.now();
      this.#listener.running();
    }
  }

  #gone(): void {
    clearTimeout(this.#killTimer);
    for (const { reject } of this.#waiting.values()) reject(this.error);
    this.#listener.exited();
  }
}
