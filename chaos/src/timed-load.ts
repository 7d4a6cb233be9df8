/** The schedules and the calls of the limited queue, while a campaign runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, isUmbelError } from '@umbel/core';
import type { Evidence } from './invariants/evidence.js';
import { readLedger } from './ledger.js';
import type { Tasks } from './tasks.js';
import { scheduleName, type TimedSettings } from './timed-tasks.js';

/** Between two bursts of calls. Each has as many as the limit lets start meanwhile, less a quarter. */
const BURST_MS = 2000;
const SHARE = 0.75;
/** A schedule is at its latest occurrence if that is not older. */
const FRESH_MS = 3000;
const LOOK_MS = 500;

export class TimedLoad {
  readonly #app: App;
  readonly #limited: Exclude<Tasks['limited'], undefined>;
  readonly #settings: TimedSettings;
  readonly #from = Date.now();

  /** Once workers run, which store the schedules. */
  constructor(app: App, limited: Exclude<Tasks['limited'], undefined>, settings: TimedSettings) {
    this.#app = app;
    this.#limited = limited;
    this.#settings = settings;
  }

  /** Sends calls to the limited queue until `signal` aborts. */
  async send(signal: AbortSignal): Promise<void> {
    const { perSecond } = this.#settings.limits;
    const size = Math.floor(((perSecond * BURST_MS) / 1000) * SHARE);
    for (let n = 0; !signal.aborted; n += size) {
      await Promise.all(Array.from({ length: size }, (_, index) => this.#sendOne(n + index)));
      await sleep(BURST_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Removes the schedules once each has sent its latest occurrence, or `limitMs` have passed. */
  async end(folder: string, limitMs: number): Promise<Evidence['schedules']> {
    const { schedules: count } = this.#settings;
    const deadline = Date.now() + limitMs;
    while (Date.now() < deadline && !this.#isUpToDate(folder)) await sleep(LOOK_MS);
    const to = Date.now() - FRESH_MS;
    const names = Array.from({ length: count }, (_, index) => scheduleName(index));
    await Promise.all(names.map((name) => this.#app.schedules.get(name).remove()));
    return { count, from: this.#from, to };
  }

  #isUpToDate(folder: string): boolean {
    const latest = new Map<string, number>();
    for (const { value } of readLedger(folder)) {
      if (typeof value !== 'string' || !value.startsWith('beat-')) continue;
      const [name = '', slot = ''] = value.split(' ');
      latest.set(name, Math.max(latest.get(name) ?? 0, Date.parse(slot)));
    }
    const oldest = Date.now() - FRESH_MS;
    return latest.size === this.#settings.schedules && [...latest.values()].every((at) => at >= oldest);
  }

  async #sendOne(n: number): Promise<void> {
    try {
      await this.#limited.delay({ n });
    } catch (error) {
      if (!isUmbelError(error, 'CONNECTION')) throw error; // it may have arrived; nobody waits for it
    }
  }
}
