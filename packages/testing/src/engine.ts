/**
 * Lets the engine of a test work, and lets time pass when nothing is left to do.
 *
 * Work and time move only while somebody waits for them: a result, `advance`, `runUntilIdle` or `next`. In between,
 * what was sent stays as it was sent, for the test to look at. The slots of schedules come as time passes, and are never
 * why it passes, since there is always a next one.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import { type Clock, INTERNAL_JOB, INTERNAL_QUEUE } from '@umbel/core/internal';
import { Choice } from './memory/choice.js';
import type { Gate } from './memory/gate.js';
import { Store } from './memory/store.js';
import { VirtualClock } from './virtual-clock.js';

/** An attempt that runs; while it waits for the engine's own time or for a result, it is parked. */
interface Attempt {
  readonly engine: Engine;
  parked: number;
}

/** The attempt in which the present code runs; one storage for all engines, since each costs every promise a little. */
const attemptHere = new AsyncLocalStorage<Attempt>();

/** Event-loop turns without a command after which nothing is under way: a reply takes one, its handling the next. */
const QUIET_TURNS = 3;

export class Engine {
  readonly store: Store;
  /** The clock of the engine, for handlers too: one that waits for it lets time pass. */
  readonly clock: Clock;
  readonly #time: VirtualClock;
  readonly #jitter: Choice;
  readonly #attempts = new Set<Attempt>();
  /** Who waits for results, and how to tell them that none will come. */
  readonly #waiters = new Set<() => void>();
  readonly #starting = new Set<Promise<unknown>>();
  readonly #changed = new EventEmitter();
  /** Who lets the engine work at present. */
  #openers = 0;
  /** Attempts that are let through one by one while nobody lets all of them. */
  #steps = 0;
  #isPumping = false;
  /** Timers of upkeep: that they are set is no reason for time to pass. */
  #background = 0;

  /** @param withUpkeep Whether workers look after what the store keeps, as time passes. */
  constructor(startAt: number, seed: number | undefined, withUpkeep: boolean) {
    this.#time = new VirtualClock(startAt);
    this.#jitter = new Choice(seed);
    const gate: Gate = {
      admits: (queue) => this.#openers > 0 && (queue === INTERNAL_QUEUE || this.#steps > 0),
      handedOut: (queue) => {
        if (queue !== INTERNAL_QUEUE) this.#steps -= 1;
      },
    };
    this.store = new Store(this.#time, seed, gate);
    this.clock = {
      now: () => this.#time.now(),
      setTimeout: (run, ms) => this.#setTimeout(run, ms, this.#park()),
      setDeadline: (run, ms) => this.#setTimeout(run, ms, () => {}),
      setBackground: (run, ms) => (withUpkeep ? this.#setBackground(run, ms) : undefined),
      clearTimeout: (handle) => (handle as { clear(): void } | undefined)?.clear(),
    };
  }

  get now(): number {
    return this.#time.now();
  }

  /** For the jitter of retries: without a seed the waits are as long as they can be, so that a test can tell them. */
  readonly random = (): number => this.#jitter.fraction();

  /** Notes something that must be ready before the engine counts as quiet. */
  starting<T>(promise: Promise<T>): Promise<T> {
    this.#starting.add(promise);
    void promise.finally(() => this.#starting.delete(promise));
    return promise;
  }

  /** Runs an attempt so that the engine knows when it waits for the engine itself. */
  async attempt<T>(run: () => Promise<T>): Promise<T> {
    const attempt: Attempt = { engine: this, parked: 0 };
    this.#attempts.add(attempt);
    try {
      return await attemptHere.run(attempt, run);
    } finally {
      this.#attempts.delete(attempt);
      this.#changed.emit('change');
    }
  }

  /** Forgets the attempts that run: what comes of them counts no more. */
  forgetAttempts(): void {
    this.#attempts.clear();
    this.#changed.emit('change');
  }

  /**
   * Somebody waits for a result: lets the engine work, and time pass, until the answer is called. `giveUp` is called
   * if nothing is left to do before that.
   */
  waiting(giveUp: () => void): () => void {
    const unpark = this.#park();
    this.#waiters.add(giveUp);
    void this.#pump();
    return () => {
      unpark();
      this.#waiters.delete(giveUp);
    };
  }

  /** Works until nothing is left to do before `time`, and moves there. */
  async advanceTo(time: number): Promise<void> {
    await this.#work(Number.POSITIVE_INFINITY, async () => {
      await this.#quiet();
      for (let at = this.#time.nextAt(); at !== undefined && at <= time; at = this.#time.nextAt()) {
        this.#time.runNext();
        await this.#quiet();
      }
      this.#time.moveTo(time);
    });
  }

  /** Works, and lets time pass, until nothing is left to do. */
  async runUntilIdle(): Promise<void> {
    await this.#work(Number.POSITIVE_INFINITY, () => this.#passTime(() => false));
  }

  /** Hands out one job of a user, lets time pass until there is one, and works until its attempt has ended. */
  async step(): Promise<void> {
    const isDone = () => this.#steps <= 0 && this.#attempts.size === 0;
    await this.#work(1, () => this.#passTime(isDone));
  }

  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      await this.#work(Number.POSITIVE_INFINITY, () => this.#passTime(() => this.#waiters.size === 0));
    } finally {
      this.#isPumping = false;
    }
    for (const giveUp of [...this.#waiters]) giveUp();
  }

  async #passTime(isDone: () => boolean): Promise<void> {
    for (;;) {
      await this.#quiet();
      if (isDone() || !this.#isWaitingForTime()) return;
      this.#time.runNext();
    }
  }

  /** Whether time has to pass for something that ends. Schedules never do, and are no reason. */
  #isWaitingForTime(): boolean {
    return (
      this.#time.pending - this.#background >
      this.store.alarmsOnlyFor(({ name }) => name === INTERNAL_JOB.schedule)
    );
  }

  async #work(steps: number, work: () => Promise<void>): Promise<void> {
    this.#openers += 1;
    this.#steps = Math.max(this.#steps, steps);
    this.store.wake();
    try {
      await work();
    } finally {
      this.#openers -= 1;
      if (this.#openers === 0) this.#steps = 0;
    }
  }

  /** Resolves when nothing is under way: no command, and no attempt that does not wait for the engine itself. */
  async #quiet(): Promise<void> {
    for (let turns = 0; turns < QUIET_TURNS; ) {
      if (this.#starting.size > 0) await Promise.all(this.#starting);
      if (this.#isBusy()) {
        await once(this.#changed, 'change');
        turns = 0;
      }
      const { commands } = this.store;
      await new Promise((resolve) => setImmediate(resolve));
      turns = this.store.commands === commands ? turns + 1 : 0;
    }
  }

  #isBusy(): boolean {
    for (const attempt of this.#attempts) if (attempt.parked === 0) return true;
    return false;
  }

  #setTimeout(run: () => void, ms: number, unpark: () => void): { clear(): void } {
    const runInContext = AsyncLocalStorage.bind(run); // whoever moves the clock is in another
    const timer = this.#time.setTimeout(() => {
      unpark();
      runInContext();
    }, ms);
    return {
      clear: () => {
        this.#time.clearTimeout(timer);
        unpark();
      },
    };
  }

  #setBackground(run: () => void, ms: number): { clear(): void } {
    let isSet = true;
    this.#background += 1;
    const end = () => {
      if (isSet) this.#background -= 1;
      isSet = false;
    };
    return this.#setTimeout(run, ms, end);
  }

  /** Notes that the current attempt, if there is one, waits for the engine; gives a function that ends it. */
  #park(): () => void {
    const attempt = attemptHere.getStore();
    if (attempt?.engine !== this) return () => {};
    attempt.parked += 1;
    this.#changed.emit('change');
    let isParked = true;
    return () => {
      if (isParked) attempt.parked -= 1;
      isParked = false;
    };
  }
}
