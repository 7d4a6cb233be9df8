/** Producer processes, each in a slot. What one had not been told of when it was killed is sent again, with its key. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { keyOf } from './driver.js';
import type { History } from './history.js';
import type { ProducerSettings, SendReport } from './producer.js';
import { programOf } from './programs.js';
import type { Sender } from './sender.js';
import { wrongClock } from './wrong-clock.js';

export interface ProducerPoolOptions {
  readonly size: number;
  readonly folder: string;
  readonly settings: ProducerSettings;
  readonly history: History;
  readonly acknowledged: (index: number, run: string) => void;
  /** How wrong the clocks are, slot by slot; the list begins again where it ends. Default: they are right. */
  readonly skewsMs?: readonly number[] | undefined;
}

interface Order {
  readonly index: number;
  readonly key: string | undefined;
  readonly done: () => void;
}

interface Slot {
  child: ChildProcess | undefined;
  /** Sent to the process, and not answered. */
  readonly open: Map<number, Order>;
}

export class ProducerPool implements Sender {
  readonly #options: ProducerPoolOptions;
  readonly #slots: Slot[];
  readonly #log: number;
  #isClosed = false;

  constructor(options: ProducerPoolOptions) {
    this.#options = options;
    this.#log = openSync(join(options.folder, 'producers.log'), 'a');
    this.#slots = Array.from({ length: options.size }, () => ({ child: undefined, open: new Map() }));
  }

  get size(): number {
    return this.#slots.length;
  }

  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#start(slot)));
  }

  send(index: number): Promise<void> {
    const slot = this.#slots[index % this.size];
    return new Promise((done) => {
      const order: Order = { index, key: keyOf(index), done };
      slot?.open.set(index, order);
      if (slot !== undefined) this.#give(slot, order);
    });
  }

  isSending(slot: number): boolean {
    return (this.#slots[slot]?.open.size ?? 0) > 0 && this.#slots[slot]?.child !== undefined;
  }

  /** `kill -9` of a producer that is just sending, or `atRest`, if there is one. Gives how many sendings it was at. */
  async kill(
    slot: number,
    atRest: boolean,
  ): Promise<{ pid: number; since: number; sending: number } | undefined> {
    const place = this.#slots[slot];
    const child = place?.child;
    if (place === undefined || child?.pid === undefined || child.exitCode !== null) return undefined;
    const sending = place.open.size;
    if (sending === 0 && !atRest) return undefined;
    const since = Date.now();
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    return { pid: child.pid, since, sending };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { child } of this.#slots) child?.kill('SIGKILL');
  }

  async #start(slot: Slot): Promise<void> {
    if (this.#isClosed) return;
    const { settings, skewsMs = [] } = this.#options;
    const skewMs = skewsMs[this.#slots.indexOf(slot) % skewsMs.length] ?? 0;
    const child = fork(programOf('producer'), [JSON.stringify(settings)], {
      stdio: ['ignore', this.#log, this.#log, 'ipc'],
      env: { ...process.env, ...(skewMs !== 0 && wrongClock(skewMs)) },
    });
    child.on('error', () => {}); // told by its end
    child.once('exit', () => {
      slot.child = undefined;
      for (const order of slot.open.values()) if (order.key === undefined) this.#end(slot, order, 'killed');
      void this.#start(slot);
    });
    child.on('message', (report: SendReport | 'ready') => {
      if (report !== 'ready') this.#take(slot, report);
    });
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
    slot.child = child;
    for (const order of slot.open.values()) this.#give(slot, order);
  }

  #give({ child }: Slot, { index, key }: Order): void {
    if (child === undefined || !child.connected) return;
    this.#options.history.note({ event: 'submit', workflow: index, key });
    child.send({ index, key }, () => {}); // if it is gone, it is sent again
  }

  #take(slot: Slot, report: SendReport): void {
    const order = slot.open.get(report.index);
    if (order === undefined) return;
    if ('run' in report) {
      slot.open.delete(report.index);
      this.#options.acknowledged(report.index, report.run);
      order.done();
    } else if (order.key !== undefined && report.code === 'CONNECTION') {
      this.#give(slot, order);
    } else this.#end(slot, order, report.error);
  }

  /** Nobody can tell whether it has arrived. */
  #end(slot: Slot, { index, done }: Order, error: string): void {
    slot.open.delete(index);
    this.#options.history.note({ event: 'rejected', workflow: index, error });
    done();
  }
}
