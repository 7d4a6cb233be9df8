import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import {
  type AnyTask,
  type App,
  type AsyncResult,
  type InputArgs,
  type InputOf,
  isUmbelError,
  type Logger,
  type OutputOf,
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
  type OptionNames,
  systemRuntime,
  testOverrideFor,
  toError,
  WaitForChildren,
} from '@umbel/core/internal';
import { timersFakedAtLoad } from '@umbel/core/internal/real-timers';
import { Engine, isInHandler } from './engine.js';
import { FakedTimersError, LeakError, NotAwaitedError, NothingLeftError } from './errors.js';
import { type Behaviour, type Fake, Fakes, type Handler } from './fakes.js';
import { type CrashOptions, Faults, type LostLockOptions, type StoreErrorOptions } from './faults.js';
import { watchTimers } from './handler-timers.js';
import { type Attempt, type EnqueuedCall, History } from './history.js';
import { failing } from './memory/failing.js';
import { backendsOf } from './memory/index.js';
import { replaceGlobals, withClock } from './virtual-globals.js';

export interface TestAppOptions {
  /** The engine's time at the start. Default 2030-01-01T00:00:00Z, so that a test gives the same every day. */
  now?: Date | undefined;
  /** Jobs of one queue that run at the same time. Default 10. */
  concurrency?: number | undefined;
  /**
   * Whether `Date`, `setTimeout`, `setInterval` and `node:timers/promises` follow the engine's time inside handlers.
   * A handler with a timer counts as waiting for it, so one that guards real work by a timer is timed out at once.
   * Default false: handlers ask `ctx.now()` and `ctx.sleep()`.
   */
  virtualTimers?: boolean | undefined;
  /**
   * Whether results and failures go from the store as the app's `resultTtl` and `failureTtl` say, while time passes.
   * Default false: they stay, so that a test that passes a month finds them.
   */
  retention?: boolean | undefined;
  /** Varies, repeatably, what BullMQ leaves open, such as which of several idle workers is served first. */
  seed?: number | undefined;
}

const OPTIONS: OptionNames<TestAppOptions> = {
  now: true,
  concurrency: true,
  virtualTimers: true,
  retention: true,
  seed: true,
};

/** Something that can be sent: a task, a signature or a composition. */
type Sendable<In, Out> = Step<string, In, Out> & {
  delay(...input: InputArgs<In>): Promise<AsyncResult<Out>>;
};

/** How `perform` runs a handler. */
export interface PerformOptions {
  /** Counted from 1. Default 1. */
  attempt?: number | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  signal?: AbortSignal | undefined;
}

const PERFORM: OptionNames<PerformOptions> = { attempt: true, headers: true, signal: true };

/**
 * An app on an engine of its own, in memory and in virtual time.
 *
 * While it is open, calls of the app's tasks go to it, wherever in the code under test they are made. Work and time
 * move only while something is awaited: a result, `run`, `advance`, `runUntilIdle` or `next`.
 */
export interface TestApp extends AsyncDisposable {
  /** The engine's time. */
  readonly now: Date;
  /** What was sent so far, in order, steps of compositions included. */
  readonly enqueued: readonly EnqueuedCall[];
  /** Attempts so far, in order. */
  readonly attempts: readonly Attempt[];
  /** The last attempts of the jobs that failed for good or wait for another attempt. */
  readonly failed: readonly Attempt[];
  /**
   * Sends a call and gives its result; countdowns, retries and other waits pass at once.
   * @throws {TaskFailedError} if it fails; the original error is its `cause`.
   * @throws {NothingLeftError} if nothing is left to do and there is no result.
   */
  run<In, Out>(call: Sendable<In, Out>, ...input: InputArgs<In>): Promise<Out>;
  /** Sends a call and gives its handle; nothing runs before something is awaited. */
  start<In, Out>(call: Sendable<In, Out>, ...input: InputArgs<In>): Promise<AsyncResult<Out>>;
  /** Lets the engine work for a time. */
  advance(duration: Duration): Promise<void>;
  /**
   * Lets the engine work until nothing is left to do, however far in the future. Slots of schedules that come until then
   * are fired, and those after it are nothing left to do: only `advance` waits for them.
   */
  runUntilIdle(): Promise<void>;
  /**
   * Stores the schedules that the app declares, as `app.schedules.sync()` does: until then they do nothing. Their slots
   * are fired as `advance` comes to them.
   */
  startSchedules(): Promise<SyncReport>;
  /** Runs one attempt, the next one there is, and gives what came of it; undefined if nothing is left to do. */
  next(): Promise<Attempt | undefined>;
  /** Replaces the handler of a task: by a function, a value, an error to throw, or a `sequence` of those. */
  fake<Task extends AnyTask>(task: Task, behaviour: Behaviour<Task>): Fake<Task>;
  /** Replaces the handlers of all tasks that have no fake of their own, but for those in `except`. */
  fakeAll(
    handler: (input: unknown, task: string) => unknown,
    options?: { except?: readonly AnyTask[] | undefined },
  ): void;
  /**
   * Runs one handler as a worker would, without a queue: validation, the way through JSON, the context.
   * @throws what the handler throws, or a `ValidationError`.
   */
  perform<Task extends AnyTask>(
    task: Task,
    input?: InputOf<Task>,
    options?: PerformOptions,
  ): Promise<OutputOf<Task>>;
  /**
   * A worker dies in the next attempt, as by `kill -9`: nothing of what it had under way is committed, and 30 s later
   * another worker runs it again. Other handlers that it had under way cannot be stopped in this process: their signal
   * is aborted, and what they give is ignored.
   */
  crashWorker(options: CrashOptions): void;
  /** The next attempt loses its lock as its handler starts: the job runs a second time beside it. */
  loseLock(options?: LostLockOptions): void;
  /** The next command of that name is refused by the store. */
  failStore(options: StoreErrorOptions): void;
  /** What ran, one line an attempt, with virtual times: the same in every run, for a snapshot. */
  timeline(): string;
  /** Runs `fn` with this app's calls coming here, whatever other test apps are open. */
  within<T>(fn: () => T): T;
  /** @throws {LeakError} if handlers still run. */
  close(): Promise<void>;
}

const DEFAULT_START = Date.UTC(2030, 0, 1);
/** As workers have it by default. */
const LOCK_DURATION_MS = 30_000;
/** What is logged is an error that the test asked for, or one that reaches the test by itself. */
const SILENT: Logger = { info() {}, warn() {}, error() {} };
/** Long enough that no test passes it by accident. */
const FOREVER_MS = 100 * 365 * 86_400_000;

/** The app's tasks on an engine of their own; see `TestApp`. */
export function testApp(app: App, options: TestAppOptions = {}): Promise<TestApp> {
  return refusingUse(openTestApp(app, options), app);
}

async function openTestApp(app: App, options: TestAppOptions): Promise<TestApp> {
  const core = coreOf(app);
  checkOptions(options, OPTIONS);
  if (timersFakedAtLoad.length > 0) {
    throw new FakedTimersError(
      `App "${app.name}" cannot be tested: ${timersFakedAtLoad.join(', ')} were faked when @umbel/testing was loaded, ` +
        'and the engine needs those of the machine. Import @umbel/testing before the timers are faked, ' +
        "or fake nothing but Date: vi.useFakeTimers({ toFake: ['Date'] }).",
    );
  }
  const keepsAll = options.retention !== true;
  const engine = new Engine(options.now?.getTime() ?? DEFAULT_START, options.seed, !keepsAll);
  const history = new History();
  const fakes = new Fakes();
  const faults = new Faults();
  const queues = new Set<string>();

  // A record of it would be written in real time, and a test's history is to be the same each time.
  const newWorker = () =>
    makeWorker({
      queues: [...queues],
      concurrency: options.concurrency ?? 10,
      handleSignals: false,
      // By the machine's time, and not renewed: longer than any test.
      lockDuration: '1d',
      schedules: false,
      heartbeat: false,
    });

  const serve = (queue: string) => {
    if (queues.has(queue) || queue === INTERNAL_QUEUE) return;
    queues.add(queue);
    // A test may end, or its worker crash, before the queue is served; the next worker serves all of them.
    const serving = outside(() => worker.addQueue(queue)).catch((error: unknown) => {
      if (!isUmbelError(error, 'CLOSED')) throw error;
    });
    engine.starting(serving);
  };

  const crash = () => {
    const dead = worker;
    const lost = [engine.store.dropLocks(() => true)];
    history.loseRunning(engine.now);
    engine.forgetAttempts();
    worker = newWorker();
    const replaced = async () => {
      await dead.abandon();
      // What was just being handed out to the dead one is lost too.
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
    standIn.run(() => (options.virtualTimers ? withClock(engine.clock, fn) : fn()));

  const observer: Observer = {
    enqueued(job) {
      if (job.queue !== INTERNAL_QUEUE) history.enqueue(job, engine.now);
      serve(job.queue);
    },
    handlerOf({ name, run }) {
      const handler: Handler | undefined = fakes.handlerOf(name) ?? run;
      return (
        handler &&
        ((input, ctx) => {
          history.received(ctx.id, input);
          return handler(input, ctx);
        })
      );
    },
    attempt: (job, run) => (job.queue === INTERNAL_QUEUE ? run() : attempt(job, run)),
    waiting: (jobId, giveUp) =>
      engine.waiting((error) => giveUp(error ?? nothingLeft(`there is no result of ${jobId}`))),
  };

  function nothingLeft(what: string): NothingLeftError {
    const ended = new Set(history.attempts.filter(({ outcome }) => outcome).map(({ id }) => id));
    const open = history.enqueued.filter(({ id }) => !ended.has(id)).map(({ task }) => task);
    const never =
      open.length > 0 ? `Sent and never run: ${open.join(', ')}.` : 'Every task that was sent has run.';
    const idle = engine.idleHandlers.map((title) => ` ${title} waits for the abort of its signal.`);
    return new NothingLeftError(`Nothing is left to do, and ${what}. ${never}${idle.join('')}`);
  }

  async function attempt(job: ActiveJob, run: () => Promise<unknown>): Promise<unknown> {
    const runId = (job.data as { run?: string } | null)?.run;
    const entry = history.start({ task: job.name, id: job.id, runId, attempt: job.attempt, at: engine.now });
    const canFail = job.id !== unclaimed.id;
    if (canFail) engine.begun({ record: entry, isRunning: () => history.isRunning(entry) });
    if (canFail && faults.strikes('before-handler', job.name)) return crashed();
    if (canFail && faults.strikes('lost-lock', job.name)) engine.store.dropLocks(({ id }) => id === job.id)();
    try {
      const title = `Task "${job.name}" of app "${app.name}" (attempt ${job.attempt})`;
      const value = await engine.attempt({ title, signal: () => job.signal }, () => inContext(run));
      // What a dead worker still had under way comes to nothing.
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
      observer,
    },
  );
  const standIn = testOverrideFor(core, fork);
  standIn.enter(); // before anything is awaited, so that the caller is in it too
  // Workers outlive the handler in whose context they may be made, and must not take its time for theirs.
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
    start: (call, ...input) => standIn.run(() => call.delay(...input)),
    advance: (duration) => engine.advanceTo(engine.now + durationMs(duration, 'duration')),
    startSchedules: () => fork.schedules.sync(),
    runUntilIdle: () => engine.runUntilIdle(),
    async next() {
      for (;;) {
        const started = await engine.step();
        // A step that does not run, since an earlier one has failed, is no attempt.
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
      const job = { ...unclaimed, ...ending(signal), name: task.name, data, attempt, enqueuedAt: engine.now };
      const interrupt = new Promise<never>((_, reject) => {
        // A handler that waits for the test's own signal is ended by the test.
        const giveUp = (error?: Error) => reject(error ?? nothingLeft(`"${task.name}" has not ended`));
        endWait = engine.waiting(giveUp, signal === undefined ? 'last' : 'never');
      });
      try {
        const performed = await Promise.race([standIn.run(() => fork.perform(job)), interrupt]);
        return JSON.parse(JSON.stringify(performed ?? null));
      } finally {
        endWait();
      }
    },
    crashWorker: (crashOptions) => faults.armCrash(crashOptions),
    loseLock: (lockOptions = {}) => faults.armLostLock(lockOptions),
    failStore: (errorOptions) => faults.armStoreError(errorOptions),
    timeline: () => history.timeline(),
    within: standIn.run,
    async close() {
      standIn.close();
      restoreGlobals();
      const leaked = history.running();
      await worker.close({ force: leaked.length > 0 });
      await fork.close();
      if (leaked.length > 0) throw new LeakError(leaked, app.name);
    },
    [Symbol.asyncDispose]: () => t.close(),
  };
  return t;
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
    'next',
  ],
  ...['fake', 'fakeAll', 'perform', 'crashWorker', 'loseLock', 'failStore', 'timeline', 'within', 'close'],
] as readonly Exclude<keyof TestApp, symbol>[];

/** Lets a promise of a test's app say so where it is taken for the app itself. */
function refusingUse(promise: Promise<TestApp>, app: App): Promise<TestApp> {
  for (const member of [...MEMBERS, Symbol.asyncDispose]) {
    Object.defineProperty(promise, member, {
      get() {
        promise.catch(() => {}); // there is one error to see
        throw new NotAwaitedError(app.name, String(member));
      },
    });
  }
  return promise;
}

/** A job that no queue holds. */
const unclaimed = {
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
  save: async () => {},
  change: async () => {},
} satisfies Partial<ActiveJob>;

/** How such a job is given up: by its time limit, or by the test's signal, which only tells the handler. */
function ending(
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
