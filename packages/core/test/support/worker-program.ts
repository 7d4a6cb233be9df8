/** The program of a test as a process, which tells what it does by lines of JSON. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProgramEvent {
  readonly pid: number;
  /** Of its process among those of the worker; null in the first one. */
  readonly index: number | null;
  readonly [key: string]: unknown;
}

/** Longest wait for an event. */
const LONGEST_MS = 40_000;

export class WorkerProgram {
  readonly events: ProgramEvent[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #calls = 0;
  /** What the processes write that is no event. */
  #rest = '';
  readonly #waiting = new Set<() => void>();

  /** Leads a group of its own, as a shell starts it. `args`: those of Node, from the program's file on. */
  constructor(args: readonly string[], cwd = process.cwd()) {
    this.#process = spawn(process.execPath, args, { cwd, detached: true, stdio: 'pipe' });
    this.#exited = once(this.#process, 'close');
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) createInterface(stream).on('line', (line) => this.#line(line));
    }
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error('the program was not started');
    return pid;
  }

  /** The first event of the kind, once there is one. */
  async event(what: string, isIt: (event: ProgramEvent) => boolean): Promise<ProgramEvent> {
    const [event] = await this.eventsOf(what, 1, isIt);
    if (event === undefined) throw new Error('unreachable');
    return event;
  }

  /** The first `count` events of the kind, once there are so many. */
  async eventsOf(
    what: string,
    count: number,
    isIt: (event: ProgramEvent) => boolean,
  ): Promise<ProgramEvent[]> {
    const deadline = performance.now() + LONGEST_MS;
    for (;;) {
      const found = this.events.filter(isIt);
      if (found.length >= count) return found.slice(0, count);
      if (!(await this.#told(deadline - performance.now()))) {
        throw new Error(`not seen ${count} times: ${what}\n${this.#text()}`);
      }
    }
  }

  /** The first line of a log with this text. */
  logged(text: string | RegExp): Promise<ProgramEvent> {
    return this.event(`log ${text}`, (event) => isLogged(event, text));
  }

  /** What the first process answers. */
  async call(call: string, ...args: readonly unknown[]): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    this.#process.stdin?.write(`${JSON.stringify({ id, call, args })}\n`);
    return (await this.event(`answer to ${call}`, (event) => event.id === id)).answer;
  }

  /** To the first process, or to all of them, as a terminal does. */
  signal(signal: NodeJS.Signals, to: 'first' | 'all' = 'first'): void {
    process.kill(to === 'all' ? -this.pid : this.pid, signal);
  }

  /** How the first process ended, once every process has closed its output. */
  async exit(): Promise<number | NodeJS.Signals | null> {
    const stop = new AbortController();
    const late = sleep(LONGEST_MS, 'late', { signal: stop.signal }).catch(() => undefined);
    const end = await Promise.race([this.#exited, late]);
    stop.abort();
    if (end === 'late') throw new Error(`the program did not end\n${this.#text()}`);
    return this.#process.signalCode ?? this.#process.exitCode;
  }

  /** Ends what is left of it. */
  async kill(): Promise<void> {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      return; // it is gone
    }
    await this.#exited;
  }

  /** Whether something was written within so long. */
  async #told(ms: number): Promise<boolean> {
    const stop = new AbortController();
    const late = sleep(Math.max(0, ms), false, { signal: stop.signal }).catch(() => false);
    const told = new Promise<true>((resolve) => {
      this.#waiting.add(() => resolve(true));
    });
    const isTold = await Promise.race([told, late]);
    stop.abort();
    return isTold;
  }

  #line(line: string): void {
    try {
      this.events.push(JSON.parse(line) as ProgramEvent);
    } catch {
      this.#rest += `${line}\n`;
    }
    for (const tell of this.#waiting) tell();
    this.#waiting.clear();
  }

  #text(): string {
    return `${this.events.map((event) => JSON.stringify(event)).join('\n')}\n${this.#rest}`;
  }
}

export function isLogged({ text }: ProgramEvent, part: string | RegExp): boolean {
  return typeof text === 'string' && (typeof part === 'string' ? text.includes(part) : part.test(text));
}
