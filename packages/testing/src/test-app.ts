/**
 * `testApp`: runs the tasks of an app on an engine in memory and in virtual time. It replaces the store and the clock of the
 * app inside the test, so code under test needs no changes.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import {
  type AnyTask,
  type App,
  type AsyncResult,
  type InputArgs,
  type InputOf,
  InvalidOptionError,
  isUmbelError,
  type Logger,
  type OpenWait,
  type OutputOf,
  type SignalAnswer,
  type Step,
  type SyncReport,
  UpstreamFailedError,
} from '@umbel/core';
import {
  type ActiveJob,
  ChainEnded,
  checkOptions,
  coreOf,
  type Duration,
  durationMs,
  EndChain,
  INTERNAL_QUEUE,
  type Observer,
  type OpenWaitRecord,
  type OptionNames,
  systemRuntime,
  testOverrideFor,
  toError,
  WaitForChildren,
} from '@umbel/core/internal';
import { timersFakedAtLoad } from '@umbel/core/internal/real-timers';
import { Engine, isInHandler } from './engine.js';
import { FakedTimersError, LeakError, NotAwaitedError, NothingLeftError, OpenWaitError } from './errors.js';
import {
  type Behaviour,
  type CrashOptions,
  type Fake,
  Fakes,
  Faults,
  type Handler,
  type LostLockOptions,
  type StoreErrorOptions,
} from './fakes.js';
import { watchTimers } from './held-time.js';
import { type Attempt, type EnqueuedCall, History } from './history.js';
import { failing } from './memory/failing.js';
import { backendsOf } from './memory/index.js';
import { replaceGlobals, withClock } from './virtual-globals.js';

/** Options of `testApp`. */
export interface TestAppOptions {
  /** Start of the engine's time. Default 2030-01-01T00:00:00Z, so that a test has the same result every day. */
  now?: Date | undefined;
  /** Maximum of running jobs of one queue. Default 10. */
  concurrency?: number | undefined;
  /**
   * Whether `Date`, `setTimeout`, `setInterval` and `node:timers/promises` follow the engine's time inside handlers.
   * A handler with a timer counts as waiting for it, so a handler that guards real work by a timer times out at once.
   * Default false: handlers use `ctx.now()` and `ctx.sleep()`.
   */
  virtualTimers?: boolean | undefined;
  /**
   * Whether results and failures are removed after the app's `resultTtl` and `failureTtl`. Default false: they stay, so
   * that a test that advances a month still finds them.
   */
  retention?: boolean | undefined;
  /**
   * What the end of the test does if workflows still wait for signals: `'fail'` throws an `OpenWaitError` that names them.
   * Default `'fail'`; `'allow'` for a test that is about the part before the wait.
   */
  openWaits?: 'fail' | 'allow' | undefined;
  /** Seed that varies, repeatably, the order where BullMQ guarantees none, such as which idle worker gets a job. */
  seed?: number | undefined;
}

const OPTIONS: OptionNames<TestAppOptions> = {
  now: true,
  concurrency: true,
  virtualTimers: true,
  retention: true,
  openWaits: true,
  seed: true,
};

/** Something that can be sent: a task, a signature or a workflow. */
type Sendable<In, Out> = Step<string, In, Out> & {
  delay(...input: InputArgs<In>): Promise<AsyncResult<Out>>;
};

/** Options of `perform`. */
export interface PerformOptions {
  /** Number of the attempt, from 1. Default 1. */
  attempt?: number | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  signal?: AbortSignal | undefined;
}

const PERFORM: OptionNames<PerformOptions> = { attempt: true, headers: true, signal: true };

/**
 * An app on its own engine, in memory and in virtual time.
 *
 * While it is open, all calls of the app's tasks go to it, wherever the code under test makes them. Jobs run and time
 * passes only while the test awaits something: a result, `run`, `advance`, `runUntilIdle` or `next`.
 * @example
 * await using t = await testApp(app);
 * const { file } = await t.run(resize, { path: 'a.png', width: 80 });
 */
export interface TestApp extends AsyncDisposable {
  /** The engine's time. */
  readonly now: Date;
  /** Calls so far in order, including the steps of workflows. */
  readonly enqueued: readonly EnqueuedCall[];
  /** Attempts so far, in order. */
  readonly attempts: readonly Attempt[];
  /** The last attempt of each job that failed for good or waits for a retry. */
  readonly failed: readonly Attempt[];
  /**
   * Sends a call and returns its result. Countdowns, retries and other waits pass at once.
   * @throws {TaskFailedError} if it fails; the original error is its `cause`.
   * @throws {NothingLeftError} if no work is left and there is no result.
   */
  run<In, Out>(call: Sendable<In, Out>, ...input: InputArgs<In>): Promise<Out>;
  /** Sends a call and returns its handle. Nothing runs until the test awaits something. */
  start<In, Out>(call: Sendable<In, Out>, ...input: InputArgs<In>): Promise<AsyncResult<Out>>;
  /** Advances virtual time by a duration and runs the work that is due in it. */
  advance(duration: Duration): Promise<void>;
  /**
   * Runs until no work is left, however far in the future. It fires the occurrences of schedules up to that time. Later
   * occurrences do not count as work: only `advance` reaches them.
   */
  runUntilIdle(): Promise<void>;
  /**
   * Stores the schedules of the app, like `app.schedules.sync()`. Schedules do nothing before this call. `advance` fires
   * their occurrences.
   */
  startSchedules(): Promise<SyncReport>;
  /**
   * Sends a signal, like `signal.send`.
   * @example
   * expect(await t.signal(approved, 'exp-17', { by: 'ann', ok: true })).toBe('accepted');
   */
  signal<Arguments extends readonly unknown[]>(
    signal: { send(...sent: Arguments): Promise<SignalAnswer> },
    ...sent: Arguments
  ): Promise<SignalAnswer>;
  /** Runs the work that is due now, and returns the open waits for signals. */
  waiting(): Promise<readonly OpenWait[]>;
  /** Runs the next attempt and returns it; undefined if no work is left. */
  next(): Promise<Attempt | undefined>;
  /** Replaces the handler of a task by a function, a value, an error to throw, or a `sequence` of these. */
  fake<Task extends AnyTask>(task: Task, behaviour: Behaviour<Task>): Fake<Task>;
  /** Replaces the handlers of all tasks without a fake, except those in `except`. */
  fakeAll(
    handler: (input: unknown, task: string) => unknown,
    options?: { except?: readonly AnyTask[] | undefined },
  ): void;
  /**
   * Runs one handler like a worker, but without a queue: with validation, JSON conversion and a context.
   * @throws the handler's error, or a `ValidationError`.
   */
  perform<Task extends AnyTask>(
    task: Task,
    input?: InputOf<Task>,
    options?: PerformOptions,
  ): Promise<OutputOf<Task>>;
  /**
   * Crashes the worker in the next attempt, like `kill -9`: nothing of its running attempts is stored, and 30 s later
   * another worker runs them again. Its other running handlers cannot be stopped in this process: their signal is aborted
   * and their results are ignored.
   */
  crashWorker(options: CrashOptions): void;
  /** Makes the next attempt lose its lock when its handler starts: the job runs a second time beside it. */
  loseLock(options?: LostLockOptions): void;
  /** Makes the store reject the next command of that name. */
  failStore(options: StoreErrorOptions): void;
  /** Returns the attempts, one per line, with virtual times. It is equal in every run, so it works as a snapshot. */
  timeline(): string;
  /** Runs `fn` with the app's calls going to this test app, even if other test apps of the app are open. */
  within<T>(fn: () => T): T;
  /**
   * Closes the test app.
   * @throws {LeakError} if handlers are still running.
   * @throws {OpenWaitError} if workflows still wait for signals, unless `openWaits` allows that.
   */
  close(): Promise<void>;
}

const DEFAULT_START = Date.UTC(2030, 0, 1);
/** Default lock duration of workers. */
const LOCK_DURATION_MS = 30_000;
/** Logs nothing: errors are expected by the test, or reach it by themselves. */
const SILENT: Logger = { info() {}, warn() {}, error() {} };
/** Longer than any test advances time. */
const FOREVER_MS = 100 * 365 * 86_400_000;

/**
 * Opens a test app for the tasks of an app; see `TestApp`.
 * @throws {FakedTimersError} if timers were faked before `@umbel/testing` was loaded.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * await using t = await testApp(app);
 * await sendMail.delay({ to: 'a@example.com' });
 * await t.runUntilIdle();
 */
export function testApp(app: App, options: TestAppOptions = {}): Promise<TestApp> {
  return requireAwait(openTestApp(app, options), app);
}

async function openTestApp(app: App, options: TestAppOptions): Promise<TestApp> {
  const core = coreOf(app);
  checkOptions(options, OPTIONS);
  if (timersFakedAtLoad.length > 0) {
    throw new FakedTimersError(
      `App "${app.name}" cannot be tested: ${timersFakedAtLoad.join(', ')} were faked when @umbel/testing was loaded, ` +
        'and the engine needs the real ones. Import @umbel/testing before the timers are faked, ' +
        "or fake only Date: vi.useFakeTimers({ toFake: ['Date'] }).",
    );
  }
  const keepsAll = options.retention !== true;
  const { openWaits = 'fail' } = options;
  if (openWaits !== 'fail' && openWaits !== 'allow')
    throw new InvalidOptionError('openWaits', "'fail' or 'allow'", openWaits);
  const engine = new Engine(options.now?.getTime() ?? DEFAULT_START, options.seed, !keepsAll);
  const history = new History();
  const fakes = new Fakes();
  const faults = new Faults();
  const queues = new Set<string>();

  // Without heartbeat: records are written in real time, and a test's history must be equal in every run.
  const newWorker = () =>
    makeWorker({
      queues: [...queues],
      concurrency: options.concurrency ?? 10,
      handleSignals: false,
      // Locks use the machine's time and are not renewed: longer than any test.
      lockDuration: '1d',
      schedules: false,
      heartbeat: false,
    });

  const serve = (queue: string) => {
    if (queues.has(queue) || queue === INTERNAL_QUEUE) return;
    queues.add(queue);
    // A test may end, or its worker crash, before the queue is served. The next worker serves all queues.
    const serving = outside(() => worker.addQueue(queue)).catch((error: unknown) => {
      if (!isUmbelError(error, 'CLOSED')) throw error;
    });
    engine.starting(serving);
  };

  const crash = () => {
    const crashedWorker = worker;
    const lost = [engine.store.dropLocks(() => true)];
    history.loseRunning(engine.now);
    engine.forgetAttempts();
    worker = newWorker();
    const replaced = async () => {
      await crashedWorker.abandon();
      // Jobs that the crashed worker was just taking are lost too.
      lost.push(engine.store.dropLocks(() => true));
      await outside(() => worker.start());
    };
    engine.starting(replaced());
    engine.clock.setTimeout(() => {
      for (const recover of lost) recover();
    }, LOCK_DURATION_MS);
  };

  const restoreGlobals = options.virtualTimers ? replaceGlobals() : watchTimers(isInHandler);
  const inContext = <T>(fn: () => T): T =>
    override.run(() => (options.virtualTimers ? withClock(engine.clock, fn) : fn()));

  const recorded = new WeakMap<Handler, Handler>();
  const recording = (handler: Handler): Handler => {
    const known = recorded.get(handler);
    if (known !== undefined) return known;
    const recorder: Handler = (input, ctx) => {
      history.received(ctx.id, input);
      return handler(input, ctx);
    };
    recorded.set(handler, recorder);
    return recorder;
  };

  const observer: Observer = {
    enqueued(job) {
      if (job.queue !== INTERNAL_QUEUE) history.enqueue(job, engine.now);
      serve(job.queue);
    },
    handlerOf({ name, run }) {
      const handler: Handler | undefined = fakes.handlerOf(name) ?? run;
      return handler && recording(handler);
    },
    attempt: (job, run) => (job.queue === INTERNAL_QUEUE ? run() : attempt(job, run)),
    waiting: (jobId, giveUp) =>
      engine.waiting((error) => giveUp(error ?? nothingLeft(`there is no result of ${jobId}`))),
  };

  function nothingLeft(what: string): NothingLeftError {
    const ended = new Set(history.attempts.filter(({ outcome }) => outcome).map(({ id }) => id));
    const open = history.enqueued.filter(({ id }) => !ended.has(id)).map(({ task }) => task);
    const never =
      open.length > 0 ? `Sent but never run: ${open.join(', ')}.` : 'Every task that was sent has run.';
    const idle = engine.idleHandlers.map((title) => ` ${title} waits for the abort of its signal.`);
    const waits = engine.store.openWaits().map((wait) => ` ${titleOf(wait)} Send it with t.signal(…).`);
    return new NothingLeftError(`No work is left, and ${what}. ${never}${idle.join('')}${waits.join('')}`);
  }

  async function attempt(job: ActiveJob, run: () => Promise<unknown>): Promise<unknown> {
    const runId = (job.data as { run?: string } | null)?.run;
    const entry = history.start({ task: job.name, id: job.id, runId, attempt: job.attempt, at: engine.now });
    const canFail = job.id !== performedJob.id;
    if (canFail) engine.beginAttempt({ record: entry, isRunning: () => history.isRunning(entry) });
    if (canFail && faults.strikes('before-handler', job.name)) return crashed();
    if (canFail && faults.strikes('lost-lock', job.name)) engine.store.dropLocks(({ id }) => id === job.id)();
    try {
      const attempted = {
        title: () => `Task "${job.name}" of app "${app.name}" (attempt ${job.attempt})`,
        signal: () => job.signal,
      };
      const value = await engine.attempt(attempted, () => inContext(run));
      // The outcome of an attempt of a crashed worker is ignored.
      const isLost = entry.outcome !== undefined;
      if (canFail && !isLost && faults.strikes('after-handler', job.name)) return crashed();
      history.end(entry, { ok: true, value, at: engine.now });
      return value;
    } catch (error) {
      const didRun = entry.ran;
      if (error instanceof EndChain) history.end(entry, { ok: true, value: error.value, at: engine.now });
      else if (error instanceof WaitForChildren && didRun)
        history.end(entry, { ok: true, value: undefined, replaced: true, at: engine.now });
      else if (
        error instanceof WaitForChildren ||
        error instanceof ChainEnded ||
        error instanceof UpstreamFailedError
      )
        history.skip(entry);
      else history.end(entry, { ok: false, error: toError(error), at: engine.now });
      throw error;
    }
  }

  function crashed(): Promise<never> {
    crash();
    return new Promise(() => {});
  }

  const connection = failing(backendsOf(engine.store), (command) => faults.storeError(command));
  const fork = core.fork(
    { connection, ...(keepsAll && { resultTtl: FOREVER_MS, failureTtl: FOREVER_MS }), logger: SILENT },
    {
      clock: engine.clock,
      random: engine.random,
      pause: (ms) => engine.starting(systemRuntime.pause(ms)),
      scheduleLeadMs: 0, // a delayed job is never late in virtual time
      observer,
    },
  );
  const override = testOverrideFor(core, fork);
  override.enter(); // before the first await, so that it applies to the caller too
  // A worker outlives the handler in whose context it may be created, and must not use the time of that handler.
  const outside = AsyncLocalStorage.snapshot();
  const makeWorker = await fork.ownWorkers();
  let worker = newWorker();
  await worker.start();

  const t: TestApp = {
    get now() {
      return new Date(engine.now);
    },
    enqueued: history.enqueued,
    attempts: history.attempts,
    get failed() {
      return history.failed();
    },
    async run(call, ...input) {
      return (await t.start(call, ...input)).get();
    },
    start: (call, ...input) => override.run(() => call.delay(...input)),
    advance: (duration) => engine.advanceTo(engine.now + durationMs(duration, 'duration')),
    startSchedules: () => fork.schedules.sync(),
    runUntilIdle: () => engine.runUntilIdle(),
    signal: (signal, ...sent) => override.run(() => signal.send(...sent)),
    async waiting() {
      await engine.advanceTo(engine.now);
      const open: OpenWait[] = [];
      let cursor: string | undefined;
      do {
        const page = await fork.signals.waiting({ cursor, limit: 1000 });
        open.push(...page.items);
        cursor = page.cursor;
      } while (cursor !== undefined);
      return open;
    },
    async next() {
      for (;;) {
        const started = await engine.step();
        // A step that does not run because an earlier one failed is not an attempt.
        if (started === undefined || started.record.outcome !== undefined) return started?.record;
      }
    },
    fake: (task, behaviour) => fakes.set(task, behaviour),
    fakeAll(handler, fakeOptions = {}) {
      const { except = [] } = checkOptions(fakeOptions, { except: true });
      fakes.setOthers((input, ctx) => handler(input, ctx.name), except);
    },
    async perform(task, input, performOptions = {}) {
      const { attempt = 1, headers, signal } = checkOptions(performOptions, PERFORM);
      const data: unknown = JSON.parse(JSON.stringify({ umbel: 1, input, headers }));
      let endWait = () => {};
      const job = {
        ...performedJob,
        ...abortFunctions(signal),
        name: task.name,
        data,
        attempt,
        enqueuedAt: engine.now,
      };
      const interrupt = new Promise<never>((_, reject) => {
        // The test ends a handler that waits for the signal of the test.
        const giveUp = (error?: Error) => reject(error ?? nothingLeft(`"${task.name}" has not ended`));
        endWait = engine.waiting(giveUp, signal === undefined ? 'last' : 'never');
      });
      try {
        const performed = await Promise.race([override.run(() => fork.perform(job)), interrupt]);
        return JSON.parse(JSON.stringify(performed ?? null));
      } finally {
        endWait();
      }
    },
    crashWorker: (crashOptions) => faults.armCrash(crashOptions),
    loseLock: (lockOptions = {}) => faults.armLostLock(lockOptions),
    failStore: (errorOptions) => faults.armStoreError(errorOptions),
    timeline: () => history.timeline(),
    within: override.run,
    async close() {
      override.close();
      restoreGlobals();
      const leaked = history.running();
      const waits = openWaits === 'allow' ? [] : engine.store.openWaits();
      await worker.close({ force: leaked.length > 0 });
      await fork.close();
      if (leaked.length > 0) throw new LeakError(leaked, app.name);
      if (waits.length > 0) throw new OpenWaitError(waits.map(titleOf), app.name);
    },
    [Symbol.asyncDispose]: () => t.close(),
  };
  return t;
}

/** Says what an open wait waits for. */
function titleOf({ signal, key, job }: OpenWaitRecord): string {
  return `Job ${job} waits for signal "${signal}" with the key "${key}".`;
}

const MEMBERS = [
  ...[
    'now',
    'enqueued',
    'attempts',
    'failed',
    'run',
    'start',
    'advance',
    'startSchedules',
    'runUntilIdle',
    'signal',
    'waiting',
    'next',
  ],
  ...['fake', 'fakeAll', 'perform', 'crashWorker', 'loseLock', 'failStore', 'timeline', 'within', 'close'],
] as readonly Exclude<keyof TestApp, symbol>[];

/** Makes the members of a promise throw, for a test that does not await `testApp`. */
function requireAwait(promise: Promise<TestApp>, app: App): Promise<TestApp> {
  for (const member of [...MEMBERS, Symbol.asyncDispose]) {
    Object.defineProperty(promise, member, {
      get() {
        promise.catch(() => {}); // only one error should be reported
        throw new NotAwaitedError(app.name, String(member));
      },
    });
  }
  return promise;
}

/** The base of a job that is in no queue, for `perform`. */
const performedJob = {
  id: 'performed',
  queue: 'none',
  retry: undefined,
  priority: undefined,
  starts: 1,
  stalls: 0,
  onceStored: () => {},
  endUniqueness: async () => {},
  chargeLossIf: () => {},
  updateProgress: async () => {},
  log: async () => {},
  childResults: async () => new Map(),
  failedChildren: async () => [],
  endedChildren: new Map(),
  delayMs: 0,
  mayHavePendingChildren: false,
  refusedWaits: 0,
  expectChildren() {},
  save: async () => {},
  change: async () => {},
} satisfies Partial<ActiveJob>;

/** Returns the abort functions of such a job. The test's signal only informs the handler; a timeout also ends the job. */
function abortFunctions(
  signal: AbortSignal | undefined,
): Pick<ActiveJob, 'signal' | 'giveUp' | 'onGiveUp' | 'offGiveUp'> {
  const controller = new AbortController();
  const either = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  setMaxListeners(0, either);
  const listeners = new Set<(reason: Error) => void>();
  return {
    signal: either,
    onGiveUp: (listener) => void listeners.add(listener),
    offGiveUp: (listener) => void listeners.delete(listener),
    giveUp(reason) {
      for (const listener of listeners) listener(reason);
      controller.abort(reason);
    },
  };
}
