/** Worker processes, each in a slot; one that has ended is started again in its slot. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import type { History } from './history.js';
import { programOf } from './programs.js';
import type { Standstill, WorkerSettings } from './worker.js';
import { wrongClock } from './wrong-clock.js';

export interface PoolOptions {
  readonly size: number;
  readonly settings: Omit<WorkerSettings, 'slot' | 'connection' | 'version' | 'skewMs'>;
  readonly connection: WorkerSettings['connection'];
  readonly history: History;
  /** Of a worker's heap, in MiB. Default: what Node takes. */
  readonly heapMb?: number | undefined;
  /** A worker that shows no sign of life for so long is killed. Default: none is. */
  readonly silenceMs?: number | undefined;
  /** How wrong the clocks are, slot by slot; the list begins again where it ends. Default: they are right. */
  readonly skewsMs?: readonly number[] | undefined;
}

interface Slot {
  child: ChildProcess | undefined;
  seenAt: number;
  isFrozen: boolean;
  isReady: boolean;
  starts: number;
  /** Of the code that its next process runs. */
  version: number;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #slots: Slot[];
  readonly #log: number;
  readonly #expected = new WeakSet<ChildProcess>();
  readonly #watch: NodeJS.Timeout | undefined;
  readonly #leave = () => {
    for (const { child } of this.#slots) child?.kill('SIGKILL');
  };
  #isClosed = false;
  /** Workers that were killed because they did not answer. */
  silent = 0;
  /** Workers that ended without the driver's doing. */
  ended = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#log = openSync(join(options.settings.folder, 'workers.log'), 'a');
    this.#slots = Array.from({ length: options.size }, () => ({
      child: undefined,
      seenAt: 0,
      isFrozen: false,
      isReady: false,
      starts: 0,
      version: 1,
    }));
    process.once('exit', this.#leave);
    const { silenceMs } = options;
    if (silenceMs !== undefined) this.#watch = setInterval(() => this.#killSilent(silenceMs), 500);
  }

  get size(): number {
    return this.#slots.length;
  }

  /** Whether each slot has a process that has started. */
  get areReady(): boolean {
    return this.#slots.every(({ isReady }) => isReady);
  }

  async start(): Promise<void> {
    await Promise.all(this.#slots.map((_, slot) => this.#start(slot)));
  }

  /** As by `kill -9`. Gives the process that was killed, once it is gone; undefined if none was there. */
  async kill(slot: number): Promise<{ pid: number; since: number } | undefined> {
    const child = this.#slots[slot]?.child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
    const since = Date.now();
    this.#expected.add(child);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    return { pid: child.pid, since };
  }

  /**
   * Ends the process of a slot by SIGTERM, as a deployment does, and starts one with another version of the code in its
   * place. False if no process was there that had started.
   */
  async deploy(slot: number, version: number): Promise<boolean> {
    const place = this.#slots[slot];
    const child = place?.child;
    if (place === undefined || child?.pid === undefined || !place.isReady || place.isFrozen) return false;
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const since = Date.now();
    place.version = version;
    this.#expected.add(child);
    const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    child.kill('SIGTERM');
    const [code, signal] = await exited;
    this.#options.history.note({
      event: 'deployed',
      pid: child.pid,
      version,
      since,
      end: signal ?? code ?? 0,
    });
    return true;
  }

  /** Stops a process in its tracks until the function that is given is called. */
  freeze(slot: number): { pid: number; thaw: () => void } | undefined {
    const place = this.#slots[slot];
    const child = place?.child;
    if (place === undefined || child?.pid === undefined || place.isFrozen) return undefined;
    if (child.exitCode !== null || child.signalCode !== null) return undefined;
    child.kill('SIGSTOP');
    place.isFrozen = true;
    const thaw = () => {
      place.isFrozen = false;
      place.seenAt = Date.now();
      child.kill('SIGCONT');
    };
    return { pid: child.pid, thaw };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    process.off('exit', this.#leave);
    clearInterval(this.#watch);
    await Promise.all(this.#slots.map((_, slot) => this.kill(slot)));
  }

  async #start(slot: number): Promise<void> {
    const place = this.#slots[slot];
    if (this.#isClosed || place === undefined) return;
    const { settings, connection, history, heapMb, skewsMs = [] } = this.#options;
    const { blocking } = settings;
    const skewMs = skewsMs[slot % skewsMs.length] ?? 0;
    place.starts += 1;
    const own: WorkerSettings = {
      ...settings,
      slot,
      connection,
      version: place.version,
      skewMs,
      blocking: blocking && { ...blocking, seed: `${blocking.seed} ${slot} ${place.starts}` },
    };
    const child = fork(programOf('worker'), [JSON.stringify(own)], {
      execArgv: heapMb === undefined ? [] : [`--max-old-space-size=${heapMb}`],
      stdio: ['ignore', this.#log, this.#log, 'ipc'],
      env: { ...process.env, ...(skewMs !== 0 && wrongClock(skewMs)) },
    });
    place.child = child;
    place.seenAt = Date.now();
    place.isFrozen = false;
    place.isReady = false;
    const { pid = 0 } = child;
    history.note({ event: 'worker-started', pid });
    child.on('message', (message: string | Standstill) => {
      place.seenAt = Date.now();
      if (message === 'ready') place.isReady = true;
      if (typeof message === 'string') return;
      const since = place.seenAt - message.stoodStillMs;
      history.note({ event: 'fault', fault: 'standstill', target: { pid }, since });
    });
    child.once('exit', (code, signal) => {
      const isExpected = this.#expected.has(child);
      if (!isExpected) {
        this.ended += 1;
        const detail = signal ?? `code ${code}`;
        history.note({ event: 'fault', fault: 'worker-ended', target: { pid }, since: Date.now(), detail });
      }
      history.note({ event: 'worker-ended', pid });
      place.isReady = false;
      if (place.child === child) void this.#start(slot);
    });
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
  }

  #killSilent(silenceMs: number): void {
    const { history } = this.#options;
    for (const [slot, { seenAt, isFrozen }] of this.#slots.entries()) {
      if (isFrozen || Date.now() - seenAt < silenceMs) continue;
      void this.kill(slot).then((killed) => {
        if (killed === undefined) return;
        this.silent += 1;
        history.note({
          event: 'fault',
          fault: 'silent-worker',
          target: { pid: killed.pid },
          since: seenAt,
        });
      });
    }
  }
}
