/**
 * Lets the engine of a test work, and lets time pass when nothing is left to do.
 *
 * Work and time move only while somebody waits for them: a result, `advance`, `runUntilIdle` or `next`. In between,
 * what was sent stays as it was sent, for the test to look at. The slots of schedules come as time passes, and are never
 * why it passes, since there is always a next one.
 *
 * One loop serves all who wait, at any time. Once nothing is under way, whoever has what it waited for goes on; then it
 * is waited again until nothing is under way. Only when nobody was served does time move, to the next moment at which
 * something is due or one of them stops.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import { type Clock, INTERNAL_JOB, INTERNAL_QUEUE } from '@umbel/core/internal';
import { setImmediate } from '@umbel/core/internal/real-timers';
import { HeldTime, type RunningHandler } from './held-time.js';
import type { Attempt as AttemptRecord } from './history.js';
import { VirtualClock } from './memory/clock.js';
import { SeededRandom } from './memory/collections.js';
import type { RunGate } from './memory/events.js';
import { Store } from './memory/store.js';

/** An attempt that runs; while it waits for the engine's own time or for a result, it is parked. */
interface Attempt extends RunningHandler {
  readonly engine: Engine;
  parked: number;
}

/** Somebody who waits for a result, and says itself when it has one. */
interface Waiter {
  /** Nothing is left that could bring it, or `error` says why it will not come. */
  readonly giveUp: (error?: Error) => void;
  /**
   * `last`: given up only where no other waiter could be, since it may wait for one of them. `never`: it also waits for
   * what the test itself does.
   */
  readonly givesUp: 'first' | 'last' | 'never';
}

/** Somebody who lets the engine work up to a point. */
interface Goal {
  /** Lets time pass up to this moment, whatever for; undefined: as long as there is something that time brings. */
  readonly until: number | undefined;
  /** Asked while nothing is under way. */
  readonly isReached: () => boolean;
  /** Of one that lets a single job of a user through; others let through all. */
  readonly step: Step | undefined;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

interface Step {
  isHandedOut: boolean;
  started: Started | undefined;
}

/** An attempt that has begun, and whether it has not ended. */
export interface Started {
  readonly record: AttemptRecord;
  readonly isRunning: () => boolean;
}

/** The attempt in which the present code runs; one storage for all engines, since each costs every promise a little. */
const attemptHere = new AsyncLocalStorage<Attempt>();

/** Whether the present code is that of a handler under test. */
export function isInHandler(): boolean {
  return attemptHere.getStore() !== undefined;
}

/** Event-loop turns without a command after which nothing is under way: a reply takes one, its handling the next. */
const QUIET_TURNS = 3;

export class Engine {
  readonly store: Store;
  /** The clock of the engine, for handlers too: one that waits for it lets time pass. */
  readonly clock: Clock;
  readonly #time: VirtualClock;
  readonly #jitter: SeededRandom;
  readonly #attempts = new Set<Attempt>();
  readonly #waiters = new Set<Waiter>();
  readonly #goals = new Set<Goal>();
  readonly #starting = new Set<Promise<unknown>>();
  readonly #changed = new EventEmitter();
  readonly #heldTime = new HeldTime(this.#changed);
  #isDriving = false;
  /** Timers of upkeep: that they are set is no reason for time to pass. */
  #background = 0;

  /** @param withUpkeep Whether workers look after what the store keeps, as time passes. */
  constructor(startAt: number, seed: number | undefined, withUpkeep: boolean) {
    this.#time = new VirtualClock(startAt);
    this.#jitter = new SeededRandom(seed);
    const gate: RunGate = {
      admits: (queue) =>
        this.#admitsAll || (queue === INTERNAL_QUEUE ? this.#goals.size > 0 : this.#nextStep() !== undefined),
      handedOut: (queue) => {
        const step = queue === INTERNAL_QUEUE ? undefined : this.#nextStep();
        if (step !== undefined) step.isHandedOut = true;
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

  /** Handlers that run and wait for nothing but their signals, by their titles. */
  get idleHandlers(): string[] {
    return [...this.#attempts].filter(({ isIdle }) => isIdle).map(({ title }) => title);
  }

  /** Notes something that must be ready before the engine counts as quiet. */
  starting<T>(promise: Promise<T>): Promise<T> {
    this.#starting.add(promise);
    void promise.finally(() => this.#starting.delete(promise));
    return promise;
  }

  /** Notes an attempt that begins: the first of those who let one job through waits for its end. */
  begun(started: Started): void {
    for (const { step } of this.#goals) {
      if (step === undefined || !step.isHandedOut || step.started !== undefined) continue;
      step.started = started;
      return;
    }
  }

  /** Runs an attempt so that the engine knows when it waits for the engine itself. */
  async attempt<T>({ title, signal }: Pick<Attempt, 'title' | 'signal'>, run: () => Promise<T>): Promise<T> {
    const attempt = {
      engine: this,
      title,
      signal,
      parked: 0,
      isIdle: false,
      idleLooks: 0,
      isReported: false,
    };
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
  waiting(giveUp: Waiter['giveUp'], givesUp: Waiter['givesUp'] = 'first'): () => void {
    const unpark = this.#park();
    const waiter: Waiter = { giveUp, givesUp };
    this.#open(() => this.#waiters.add(waiter));
    return () => {
      unpark();
      this.#waiters.delete(waiter);
      this.#changed.emit('change');
    };
  }

  /** Works until nothing is left to do before `time`, and moves there. */
  advanceTo(time: number): Promise<void> {
    return this.#reach(
      time,
      () => this.now >= time && !((this.#time.nextAt() ?? Number.POSITIVE_INFINITY) <= time),
    );
  }

  /** Works, and lets time pass, until nothing is left to do. */
  runUntilIdle(): Promise<void> {
    return this.#reach(undefined, () => !this.#isWaitingForTime());
  }

  /**
   * Hands out one job of a user, lets time pass until there is one, and works until its attempt has ended. Gives what
   * `begun` was called with; undefined if nothing is left to do.
   */
  async step(): Promise<Started | undefined> {
    const step: Step = { isHandedOut: false, started: undefined };
    await this.#reach(undefined, () => step.started !== undefined && !step.started.isRunning(), step);
    return step.started;
  }

  /** Whether somebody lets every job through. */
  get #admitsAll(): boolean {
    if (this.#waiters.size > 0) return true;
    for (const { step } of this.#goals) if (step === undefined) return true;
    return false;
  }

  /** Who lets a job through and has not got it. */
  #nextStep(): Step | undefined {
    for (const { step } of this.#goals) if (step !== undefined && !step.isHandedOut) return step;
    return undefined;
  }

  /** Lets more jobs through from now on. */
  #open(add: () => void): void {
    const wasOpen = this.#admitsAll;
    add();
    if (!wasOpen) this.store.wake();
    this.#changed.emit('change');
    void this.#drive();
  }

  #reach(until: number | undefined, isReached: () => boolean, step?: Step): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#open(() => this.#goals.add({ until, isReached, step, end: resolve, fail: reject }));
    });
  }

  async #drive(): Promise<void> {
    if (this.#isDriving) return;
    this.#isDriving = true;
    if (this.#attempts.size === 0) this.#heldTime.begin();
    try {
      while (this.#waiters.size + this.#goals.size > 0) {
        await this.#quiet();
        if (this.#serve() || this.#passTime() || this.#endWaits()) continue;
        // Whoever is left waits for what the test itself does, or for one that was given up.
        await once(this.#changed, 'change');
      }
    } catch (error) {
      this.#fail(error as Error); // of the wait for handlers, which throws nothing else
    } finally {
      this.#isDriving = false;
    }
  }

  /** Lets those go on who have reached their goals; whether anything is done now that was not before. */
  #serve(): boolean {
    let isServed = false;
    for (const goal of [...this.#goals]) {
      const { step } = goal;
      if (goal.isReached()) {
        this.#goals.delete(goal);
        goal.end();
      } else if (step?.isHandedOut && step.started === undefined) {
        // Its job has ended without an attempt: another one is let through.
        step.isHandedOut = false;
        this.store.wake();
      } else continue;
      isServed = true;
    }
    return isServed;
  }

  /** Moves to the next moment that somebody lets time pass for; whether there is one. */
  #passTime(): boolean {
    let until = Number.POSITIVE_INFINITY;
    for (const goal of this.#goals) until = Math.min(until, goal.until ?? until);
    const isBounded = until < Number.POSITIVE_INFINITY;
    if (!isBounded && !this.#isWaitingForTime()) return false;
    if ((this.#time.nextAt() ?? Number.POSITIVE_INFINITY) <= until) this.#time.runNext();
    else this.#time.moveTo(until);
    return true;
  }

  /** Nothing is left to do: gives up those who wait for something; whether there were any. */
  #endWaits(): boolean {
    const goals = [...this.#goals];
    const waiters = [...this.#waiters];
    const [first = [], last = []] = (['first', 'last'] as const).map((turn) =>
      waiters.filter(({ givesUp }) => givesUp === turn),
    );
    const givenUp = first.length > 0 ? first : last;
    this.#goals.clear();
    for (const goal of goals) goal.end();
    for (const waiter of givenUp) {
      this.#waiters.delete(waiter);
      waiter.giveUp();
    }
    return goals.length + givenUp.length > 0;
  }

  #fail(error: Error): void {
    const goals = [...this.#goals];
    const waiters = [...this.#waiters];
    this.#goals.clear();
    this.#waiters.clear();
    for (const goal of goals) goal.fail(error);
    for (const waiter of waiters) waiter.giveUp(error);
  }

  /** Whether time has to pass for something that ends. Schedules never do, and are no reason. */
  #isWaitingForTime(): boolean {
    return (
      this.#time.pending - this.#background >
      this.store.alarmsOnlyFor(({ name }) => name === INTERNAL_JOB.schedule)
    );
  }

  /** Resolves when nothing is under way: no command, and no attempt that does not wait for the engine itself. */
  async #quiet(): Promise<void> {
    for (let turns = 0; turns < QUIET_TURNS; ) {
      if (this.#starting.size > 0) await Promise.all(this.#starting);
      const busy = this.#busy();
      if (busy.length > 0) {
        await this.#heldTime.changes(busy);
        turns = 0;
      }
      const { commands } = this.store;
      await new Promise((resolve) => setImmediate(resolve));
      turns = this.store.commands === commands ? turns + 1 : 0;
    }
  }

  /** The attempts that do not wait for the engine. */
  #busy(): readonly Attempt[] {
    if (this.#attempts.size === 0) return NONE;
    return [...this.#attempts].filter((attempt) => attempt.parked === 0 && this.#heldTime.isHeldBy(attempt));
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

const NONE: readonly Attempt[] = [];
