/** The child processes of isolated tasks: starts them, reuses them for the same module, and ends them with the worker. */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ClosedError, type ErrorRecord } from '../../base/errors.js';
import { ChildProcessError } from '../../base/failures.js';
import { builtFile } from '../../base/modules.js';
import { clearTimeout, setTimeout } from '../../base/real-timers.js';
import type { FromChild, RunEnd, RunReport, ToChild } from './messages.js';

/** The exit of a child. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The error of its start, or its uncaught error. */
  readonly cause: Error | ErrorRecord | undefined;
}

/** Receives the events of a run. */
export interface RunListener {
  /** The child has loaded its module, or failed to: then the run ends with `unable`. Not called if it was loaded before. */
  loaded(): void;
  message(message: RunReport | RunEnd): void;
  exit(exit: ChildExit): void;
}

/** Time for a child to end before it is killed. */
const END_MS = 2_000;

/** The built program of a child process, also when the sources run: Node 20 cannot run TypeScript. */
const PROGRAM = builtFile('worker/isolate/child.js');

/** Returns the program of a child process. @throws {ChildProcessError} if the file does not exist. */
export function programFor(task: string): URL {
  if (PROGRAM !== undefined && existsSync(PROGRAM)) return PROGRAM; // some bundlers keep the original location
  throw new ChildProcessError(
    `Task "${task}" is isolated, which does not work in a bundle: its child process loads a file of @umbel/core and the module of ` +
      'the task, and a bundle has neither. Exclude @umbel/core and the module of the task from the bundle, or ' +
      'define the task without `isolate`.',
  );
}

export class ChildHandle {
  /** Resolves when the process has exited, and never rejects. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  #isUsable = true;
  #isLoaded = false;
  #run = 0;
  #listener: RunListener | undefined;
  #cause: ChildExit['cause'];

  /** Starts a process that runs `program` and imports `module`; both are URLs. */
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
      const onExit = (code: number | null, signal: NodeJS.Signals | null) => {
        this.#listener?.exit({ code, signal, cause: this.#cause });
        resolve();
      };
      this.#process.once('exit', (code, signal) => {
        this.#isUsable = false;
        // Messages that it sent before its exit are read until then.
        if (this.#process.connected) this.#process.once('disconnect', () => onExit(code, signal));
        else onExit(code, signal);
      });
      this.#process.on('error', (error) => {
        if (this.#process.pid !== undefined) return;
        this.#isUsable = false;
        this.#cause = error;
        onExit(null, null);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Whether the child has loaded its module. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** False once the child has exited or is ending. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Begins a run and returns its number. Until `idle`, the child keeps this process alive. */
  begin(listener: RunListener): number {
    this.#listener = listener;
    this.#process.ref();
    this.#process.channel?.ref();
    this.#run += 1;
    return this.#run;
  }

  /** Ends a run: its later messages are ignored. */
  idle(): void {
    this.#listener = undefined;
    this.#process.unref();
    this.#process.channel?.unref();
  }

  /** Sends a message. Does nothing if the process has exited: its exit explains more. */
  send(message: ToChild): void {
    if (this.#isUsable) this.#process.send(message, () => {});
  }

  /** Kills the process if this run is still the current one: otherwise the process may run another job. */
  kill(run: number): void {
    if (run === this.#run && this.#listener !== undefined) this.#kill();
  }

  /** Kills the process and ignores its run, as if the worker had crashed too. */
  abandon(): void {
    this.idle();
    this.#kill();
  }

  /** Ends the process, and kills it after 2 s. Resolves when it has exited. */
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
  // Absent where nothing changes: Node then removes a script passed with `--eval` itself.
  return others.length === execArgv.length ? {} : { execArgv: others };
}

/** Longer than a process needs to start and load its code, also on a busy machine. */
const LOAD_MS = 60_000;

/** The child processes of one worker. A child is kept after its run for the next run of the same module. */
export class ChildPool {
  /** Longest time for a child to load its module, in milliseconds. */
  readonly loadMs: number;
  readonly #limit: number;
  /** All children, including those that are ending. */
  readonly #children = new Set<ChildHandle>();
  /** Ordered by last use, oldest first. */
  readonly #idle: ChildHandle[] = [];
  #isClosed = false;

  /** @param limit Maximum number of idle and busy children; more exist only while more runs need them. */
  constructor(limit: number, loadMs = LOAD_MS) {
    this.#limit = limit;
    this.loadMs = loadMs;
  }

  /**
   * Returns a child for the module of a task. Call `release` after the run.
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

  release(child: ChildHandle): void {
    child.idle();
    if (!child.isUsable) return;
    this.#idle.push(child);
    if (this.#count() > this.#limit) this.#endOldest();
  }

  /** Ends all children; with `force` kills them, also during a run. Resolves when they have exited. */
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
