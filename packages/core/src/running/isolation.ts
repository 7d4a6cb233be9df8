/**
 * Lets a suspicious job start alone in its process, so that a death of the process tells which job is at fault.
 *
 * While a job is alone no other one starts here: those that are handed out wait. A job that is to be alone waits for its
 * turn, then for those that run already, for a limited time: one that has run for long is unlikely to end the process
 * just now. All changes are made at once and not in promises, so nobody slips in between.
 */
import type { Clock } from '../clock.js';

/** How long a job waits for its turn to be alone, before another process may have it. */
const TURN_MS = 5000;

/** How long another job waits while one is alone here, before another process may have it. */
const HELD_MS = 15_000;

interface Waiting {
  readonly admit: () => void;
  readonly refuse: () => void;
}

export class Isolation {
  readonly #clock: Clock;
  #running = 0;
  #alone: Alone | undefined;
  readonly #held = new Set<Waiting>();
  readonly #turns = new Set<Waiting>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a job that starts now; while another one is alone, gives a promise of whether it may start in time. */
  enter(): Promise<boolean> | undefined {
    if (this.#alone !== undefined) return this.#wait(this.#held, HELD_MS);
    this.#running += 1;
    return undefined;
  }

  /** The job has ended. */
  leave(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#alone?.drained();
  }

  /** Lets a job start once it is alone, or has waited for `drainMs`. Undefined if its turn does not come in time. */
  async alone(drainMs: number): Promise<Alone | undefined> {
    if (this.#alone !== undefined && !(await this.#wait(this.#turns, TURN_MS))) return undefined;
    const alone = this.#alone ?? this.#startTurn();
    if (this.#running > 0) await this.#drained(alone, drainMs);
    return alone;
  }

  /** Lets nobody wait any more: the worker goes. */
  close(): void {
    this.#isClosed = true;
    for (const { refuse } of [...this.#held, ...this.#turns]) refuse();
  }

  #startTurn(): Alone {
    this.#alone = new Alone(
      (own, isRunning) => this.#open(own, isRunning),
      () => this.leave(),
    );
    return this.#alone;
  }

  /** Those that were held back start, and then the next one that is to be alone has its turn. */
  #open(own: Alone, isRunning: boolean): void {
    if (this.#alone !== own) return;
    this.#alone = undefined;
    if (isRunning) this.#running += 1;
    const held = [...this.#held];
    this.#running += held.length;
    for (const { admit } of held) admit();
    const [next] = this.#turns;
    if (next === undefined) return;
    this.#startTurn();
    next.admit();
  }

  #wait(among: Set<Waiting>, ms: number): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isAdmitted: boolean) => {
        this.#clock.clearTimeout(timer);
        among.delete(waiting);
        resolve(isAdmitted);
      };
      const waiting: Waiting = { admit: () => end(true), refuse: () => end(false) };
      const timer = this.#clock.setDeadline(waiting.refuse, ms);
      among.add(waiting);
    });
  }

  #drained(alone: Alone, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
      const timer = this.#clock.setDeadline(end, ms);
      alone.onDrained = end;
    });
  }
}

/** The turn of one job. */
export class Alone {
  onDrained: (() => void) | undefined;
  readonly #open: (own: Alone, isRunning: boolean) => void;
  readonly #leave: () => void;
  #state: 'alone' | 'shared' | 'ended' = 'alone';

  constructor(open: (own: Alone, isRunning: boolean) => void, leave: () => void) {
    this.#open = open;
    this.#leave = leave;
  }

  get isAlone(): boolean {
    return this.#state === 'alone';
  }

  drained(): void {
    this.onDrained?.();
  }

  /** Others may start beside it from now on. */
  share(): void {
    if (this.#state !== 'alone') return;
    this.#state = 'shared';
    this.#open(this, true);
  }

  /** The job has ended. */
  end(): void {
    if (this.#state === 'ended') return;
    const isShared = this.#state === 'shared';
    this.#state = 'ended';
    if (isShared) this.#leave();
    else this.#open(this, false);
  }
}
