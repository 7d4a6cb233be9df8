/**
 * The engine of a test app: runs jobs, and advances virtual time when no work is left at the current time.
 *
 * Jobs run and time passes only while the test waits for something: a result, `advance`, `runUntilIdle` or `next`.
 * Otherwise the sent jobs stay in the store, so that the test can inspect them. Occurrences of schedules are fired as time
 * passes, but time does not pass because of them, since there is always a next one.
 *
 * One loop serves all waits. When no command and no attempt is in progress, each wait whose goal is reached resolves, and
 * the loop waits again. If none resolved, time moves to the next timer, or to the time at which one of the waits ends.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import { type Clock, INTERNAL_JOB, INTERNAL_QUEUE, runWithTestValue, testValue } from '@umbel/core/internal';
import { setImmediate } from '@umbel/core/internal/real-timers';
import { HeldTime, type RunningHandler } from './held-time.js';
import type { Attempt as AttemptRecord } from './history.js';
import { VirtualClock } from './memory/clock.js';
import { SeededRandom } from './memory/collections.js';
import type { RunGate } from './memory/events.js';
import type { JobRecord } from './memory/job-record.js';
import { Store } from './memory/store.js';

/** A running attempt. It is parked while it waits for the engine's time or for a result. */
class Attempt implements RunningHandler {
  parked = 0;
  isIdle = false;
  idleLooks = 0;
  isReported = false;

  constructor(
    readonly engine: Engine,
    private readonly job: AttemptedJob,
  ) {}

  get title(): string {
    return this.job.title();
  }

  signal(): AbortSignal {
    return this.job.signal();
  }
}

/** What messages say about the job of an attempt, and its signal. */
interface AttemptedJob {
  readonly title: () => string;
  readonly signal: () => AbortSignal;
}

/** A wait for a result. The waiting code ends it itself when the result is there. */
interface Waiter {
  /** Called if no work is left that could produce the result, or with the error that prevents it. */
  readonly giveUp: (error?: Error) => void;
  /**
   * `last`: ended only after all other waits, because it may wait for one of them. `never`: it also waits for actions of
   * the test.
   */
  readonly givesUp: 'first' | 'last' | 'never';
}

/** A wait that ends when the engine reaches a state. */
interface Goal {
  /** Time passes up to this time, even without timers; undefined: as long as there are timers. */
  readonly until: number | undefined;
  /** Called while no work is in progress. */
  readonly isReached: () => boolean;
  /** Present if the wait admits a single job of a user's task; other waits admit all jobs. */
  readonly step: Step | undefined;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

interface Step {
  isHandedOut: boolean;
  started: Started | undefined;
}

/** An attempt that has begun. */
export interface Started {
  readonly record: AttemptRecord;
  readonly isRunning: () => boolean;
}

/** Key of the attempt in the asynchronous context of its code, for all engines. */
const ATTEMPT = {};

/** Returns the attempt of the current code. */
function currentAttempt(): Attempt | undefined {
  return testValue(ATTEMPT) as Attempt | undefined; // `Engine.attempt` sets it
}

/** Whether the current code runs in a handler under test. */
export function isInHandler(): boolean {
  return currentAttempt() !== undefined;
}

/** Event-loop turns without a command after which no work is in progress: a reply takes one turn, its handling the next. */
const QUIET_TURNS = 3;

export class Engine {
  readonly store: Store;
  /** The clock of the engine, also for handlers: time passes while a handler waits for it. */
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
  /** Number of background timers: time does not pass because of them. */
  #background = 0;

  /** @param withUpkeep Whether workers do background work in the store, such as retention. */
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

  /** Random number for the jitter of retries. Without a seed the delays have their maximum, so that tests can predict them. */
  readonly random = (): number => this.#jitter.fraction();

  /** Titles of running handlers that wait only for their signals. */
  get idleHandlers(): string[] {
    return [...this.#attempts].filter(({ isIdle }) => isIdle).map(({ title }) => title);
  }

  /** Registers a promise that must settle before the engine counts as quiet. */
  starting<T>(promise: Promise<T>): Promise<T> {
    this.#starting.add(promise);
    void promise.finally(() => this.#starting.delete(promise));
    return promise;
  }

  /** Records the start of an attempt: the first wait that admitted one job waits for its end. */
  beginAttempt(started: Started): void {
    for (const { step } of this.#goals) {
      if (step === undefined || !step.isHandedOut || step.started !== undefined) continue;
      step.started = started;
      return;
    }
  }

  /** Runs an attempt, and tracks when it waits for the engine. */
  async attempt<T>(job: AttemptedJob, run: () => Promise<T>): Promise<T> {
    const attempt = new Attempt(this, job);
    this.#attempts.add(attempt);
    try {
      return await runWithTestValue(ATTEMPT, attempt, run);
    } finally {
      this.#attempts.delete(attempt);
      this.#changed.emit('change');
    }
  }

  /** Ignores the running attempts from now on. */
  forgetAttempts(): void {
    this.#attempts.clear();
    this.#changed.emit('change');
  }

  /**
   * Begins a wait for a result: jobs run and time passes until the returned function is called. Calls `giveUp` if no work
   * is left before that.
   */
  waiting(giveUp: Waiter['giveUp'], givesUp: Waiter['givesUp'] = 'first'): () => void {
    const unpark = this.#park();
    const waiter: Waiter = { giveUp, givesUp };
    this.#addWait(() => this.#waiters.add(waiter));
    return () => {
      unpark();
      this.#waiters.delete(waiter);
      this.#changed.emit('change');
    };
  }

  /** Runs everything that is due before `time`, and moves to it. */
  advanceTo(time: number): Promise<void> {
    return this.#reach(
      time,
      () => this.now >= time && !((this.#time.nextAt() ?? Number.POSITIVE_INFINITY) <= time),
    );
  }

  /** Runs, and advances time, until no work is left. */
  runUntilIdle(): Promise<void> {
    return this.#reach(undefined, () => !this.#isWaitingForTime());
  }

  /**
   * Admits one job of a user's task, advances time until there is one, and runs until its attempt has ended. Returns the
   * value of `beginAttempt`; undefined if no work is left.
   */
  async step(): Promise<Started | undefined> {
    const step: Step = { isHandedOut: false, started: undefined };
    await this.#reach(undefined, () => step.started !== undefined && !step.started.isRunning(), step);
    return step.started;
  }

  /** Whether a wait admits every job. */
  get #admitsAll(): boolean {
    if (this.#waiters.size > 0) return true;
    for (const { step } of this.#goals) if (step === undefined) return true;
    return false;
  }

  /** Returns a wait for a single job that has not got one. */
  #nextStep(): Step | undefined {
    for (const { step } of this.#goals) if (step !== undefined && !step.isHandedOut) return step;
    return undefined;
  }

  /** Adds a wait, which may admit more jobs. */
  #addWait(add: () => void): void {
    const wasOpen = this.#admitsAll;
    add();
    if (!wasOpen) this.store.wake();
    this.#changed.emit('change');
    void this.#drive();
  }

  #reach(until: number | undefined, isReached: () => boolean, step?: Step): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#addWait(() => this.#goals.add({ until, isReached, step, end: resolve, fail: reject }));
    });
  }

  async #drive(): Promise<void> {
    if (this.#isDriving) return;
    this.#isDriving = true;
    if (this.#attempts.size === 0) this.#heldTime.begin();
    try {
      while (this.#waiters.size + this.#goals.size > 0) {
        await this.#quiet();
        if (this.#resolveGoals() || this.#passTime() || this.#endWaits()) continue;
        // The remaining waits need an action of the test, or the end of an aborted attempt.
        await once(this.#changed, 'change');
      }
    } catch (error) {
      this.#fail(error as Error); // from HeldTime, which throws only errors
    } finally {
      this.#isDriving = false;
    }
  }

  /** Resolves the waits whose goals are reached. Returns whether anything changed. */
  #resolveGoals(): boolean {
    let isChanged = false;
    for (const goal of [...this.#goals]) {
      const { step } = goal;
      if (goal.isReached()) {
        this.#goals.delete(goal);
        goal.end();
      } else if (step?.isHandedOut && step.started === undefined) {
        // The admitted job ended without an attempt: admit another one.
        step.isHandedOut = false;
        this.store.wake();
      } else continue;
      isChanged = true;
    }
    return isChanged;
  }

  /** Moves to the next timer, or to the time limit of a wait. Returns whether time moved. */
  #passTime(): boolean {
    let until = Number.POSITIVE_INFINITY;
    for (const goal of this.#goals) until = Math.min(until, goal.until ?? until);
    const isBounded = until < Number.POSITIVE_INFINITY;
    if (!isBounded && !this.#isWaitingForTime()) return false;
    if ((this.#time.nextAt() ?? Number.POSITIVE_INFINITY) <= until) this.#time.runNext();
    else this.#time.moveTo(until);
    return true;
  }

  /** Ends the waits because no work is left. Returns whether there were any. */
  #endWaits(): boolean {
    const goals = [...this.#goals];
    const waiters = [...this.#waiters];
    const [first = [], last = []] = (['first', 'last'] as const).map((order) =>
      waiters.filter(({ givesUp }) => givesUp === order),
    );
    const ended = first.length > 0 ? first : last;
    this.#goals.clear();
    for (const goal of goals) goal.end();
    for (const waiter of ended) {
      this.#waiters.delete(waiter);
      waiter.giveUp();
    }
    return goals.length + ended.length > 0;
  }

  #fail(error: Error): void {
    const goals = [...this.#goals];
    const waiters = [...this.#waiters];
    this.#goals.clear();
    this.#waiters.clear();
    for (const goal of goals) goal.fail(error);
    for (const waiter of waiters) waiter.giveUp(error);
  }

  /** Whether timers other than those of schedules, of waits without end and of background work are set. */
  #isWaitingForTime(): boolean {
    return (
      this.#time.pending - this.#background >
      this.store.alarmsOnlyFor((job) => job.name === INTERNAL_JOB.schedule || isEndlessWait(job))
    );
  }

  /** Resolves when no work is in progress: no command, and no attempt except those that wait for the engine. */
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

  /** Returns the attempts that do not wait for the engine. */
  #busy(): readonly Attempt[] {
    if (this.#attempts.size === 0) return NONE;
    return [...this.#attempts].filter(
      (attempt) => attempt.parked === 0 && this.#heldTime.isBlockedBy(attempt),
    );
  }

  #setTimeout(run: () => void, ms: number, unpark: () => void): { clear(): void } {
    const runInContext = AsyncLocalStorage.bind(run); // the code that moves the clock runs in another context
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

  /** Marks the current attempt, if any, as waiting for the engine; returns a function that ends that. */
  #park(): () => void {
    const attempt = currentAttempt();
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

/** Whether a job waits for a signal without end: only the test can decide it. */
function isEndlessWait({ name, data }: JobRecord): boolean {
  if (name !== INTERNAL_JOB.wait) return false;
  const { waiting } = JSON.parse(data) as { waiting?: { until?: number } };
  return waiting !== undefined && waiting.until === undefined;
}

const NONE: readonly Attempt[] = [];
