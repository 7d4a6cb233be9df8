import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ChildProcessError, ClosedError, type ErrorRecord } from '../../base/errors.js';
import { builtFile } from '../../base/modules.js';
import { clearTimeout, setTimeout } from '../../base/real-timers.js';
import type { FromChild, RunEnd, RunReport, ToChild } from './messages.js';

// A child process as the worker that forked it sees it.

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it could not be started for, or what it did not catch. */
  readonly cause: Error | ErrorRecord | undefined;
}

/** Is told what comes of a run. */
export interface RunListener {
  /** The child has loaded its module, or has failed to: then the run ends with `unable`. Not called for one that had. */
  loaded(): void;
  message(message: RunReport | RunEnd): void;
  exit(exit: ChildExit): void;
}

/** How long a child that is told to end may take, before it is killed. */
const END_MS = 2_000;

/** The program of a child process: what was built, also for the sources, which Node 20 does not run. */
const PROGRAM = builtFile('worker/isolate/child.js');

/**
 * The file of the program.
 * @throws {ChildProcessError} if there is none.
 */
export function programFor(task: string): URL {
  if (PROGRAM !== undefined && existsSync(PROGRAM)) return PROGRAM; // some bundlers keep the place that it had
  throw new ChildProcessError(
    `Task "${task}" is isolated, which is not possible in a bundle: its child process loads a file of @umbel/core and the module of ` +
      'the task, and a bundle has neither. Leave @umbel/core out of the bundle and the task in a file of its own, or ' +
      'define the task without `isolate`.',
  );
}

export class ChildHandle {
  /** Settles when the process is gone, and never rejects. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  #isUsable = true;
  #isLoaded = false;
  #run = 0;
  #listener: RunListener | undefined;
  #cause: ChildExit['cause'];

  /** Starts a process that runs `program` and imports `module`, URLs. */
  constructor(
    program: URL,
    readonly module: string,
  ) {
    this.#process = fork(program, [module, `${process.pid}`], {
      ...inspectorless(process.execArgv),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process.on('message', (message: FromChild) => this.#receive(message));
    this.exited = new Promise((resolve) => {
      const gone = (code: number | null, signal: NodeJS.Signals | null) => {
        this.#listener?.exit({ code, signal, cause: this.#cause });
        resolve();
      };
      this.#process.once('exit', (code, signal) => {
        this.#isUsable = false;
        // What it had sent is read until then.
        if (this.#process.connected) this.#process.once('disconnect', () => gone(code, signal));
        else gone(code, signal);
      });
      this.#process.on('error', (error) => {
        if (this.#process.pid !== undefined) return;
        this.#isUsable = false;
        this.#cause = error;
        gone(null, null);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Whether it has loaded its module, and runs handlers at once. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** False once it is gone or going. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Begins a run, and gives its number. Until `idle`, the child keeps this process alive. */
  begin(listener: RunListener): number {
    this.#listener = listener;
    this.#process.ref();
    this.#process.channel?.ref();
    this.#run += 1;
    return this.#run;
  }

  /** Ends a run: what it still sends is dropped. */
  idle(): void {
    this.#listener = undefined;
    this.#process.unref();
    this.#process.channel?.unref();
  }

  /** Does nothing if the process is gone: its exit tells more. */
  send(message: ToChild): void {
    if (this.#isUsable) this.#process.send(message, () => {});
  }

  /** Ends the process at once, if that run goes on: once it has ended, the process may be at the run of another job. */
  kill(run: number): void {
    if (run === this.#run && this.#listener !== undefined) this.#kill();
  }

  /** The same, so that its run comes to nothing: as if the worker had died with it. */
  abandon(): void {
    this.idle();
    this.#kill();
  }

  /** Lets the process end by itself, if it does so soon. Settles when it is gone. */
  async end(): Promise<void> {
    this.#isUsable = false;
    this.#process.ref();
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#kill(), END_MS);
    await this.exited;
    clearTimeout(timer);
  }

  #receive(message: FromChild): void {
    if (message.kind === 'uncaught') this.#cause = message.error;
    else if (message.kind === 'loaded') {
      this.#isLoaded = true;
      this.#listener?.loaded();
    } else if (message.run === this.#run) this.#listener?.message(message);
  }

  #kill(): void {
    this.#isUsable = false;
    this.#process.kill('SIGKILL');
  }
}

/** Two processes cannot listen for a debugger on one port. */
function inspectorless(execArgv: readonly string[]): { execArgv?: string[] } {
  const others = execArgv.filter((argument) => !argument.startsWith('--inspect'));
  // Left out where nothing changes: Node then takes a script given by `--eval` out itself.
  return others.length === execArgv.length ? {} : { execArgv: others };
}

/** More than a process takes to start and to load its code, also on a busy machine. */
const LOAD_MS = 60_000;

/** The child processes of one worker. One that has ended a run is kept for the next of the same module. */
export class ChildPool {
  /** How long a child may take to load its module, in milliseconds. */
  readonly loadMs: number;
  readonly #limit: number;
  /** Also those that are about to end. */
  readonly #children = new Set<ChildHandle>();
  /** The one that was used last stands last. */
  readonly #idle: ChildHandle[] = [];
  #isClosed = false;

  /** No child is kept beyond `limit` children; there are more only while as many runs go on. */
  constructor(limit: number, loadMs = LOAD_MS) {
    this.#limit = limit;
    this.loadMs = loadMs;
  }

  /**
   * A child for the module of a task, until it is given back.
   * @throws {ClosedError} if the pool was closed.
   * @throws {ChildProcessError} if no child can be started in this program.
   */
  take(module: string, task: string): ChildHandle {
    if (this.#isClosed) throw new ClosedError('The worker of this isolated task was closed.');
    const index = this.#idle.findLastIndex((child) => child.module === module && child.isUsable);
    const [kept] = index < 0 ? [] : this.#idle.splice(index, 1);
    if (kept !== undefined) return kept;
    if (this.#count() >= this.#limit) this.#endOldest();
    return this.#fork(programFor(task), module);
  }

  giveBack(child: ChildHandle): void {
    child.idle();
    if (!child.isUsable) return;
    this.#idle.push(child);
    if (this.#count() > this.#limit) this.#endOldest();
  }

  /** Ends all children; with `force` kills them, also in the middle of a run. Settles when they are gone. */
  async close(force: boolean): Promise<void> {
    this.#isClosed = true;
    const children = [...this.#children];
    if (force) for (const child of children) child.abandon();
    await Promise.all(children.map((child) => child.end()));
  }

  #fork(program: URL, module: string): ChildHandle {
    const child = new ChildHandle(program, module);
    this.#children.add(child);
    void child.exited.then(() => {
      this.#children.delete(child);
      const index = this.#idle.indexOf(child);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    return child;
  }

  #count(): number {
    return [...this.#children].filter((child) => child.isUsable).length;
  }

  #endOldest(): void {
    void this.#idle.shift()?.end();
  }
}
