/** Creates the parts of an app from its options: logger, store, sender, schedules, executor. `AppCore` uses it. */

import { InvalidOptionError } from '../base/errors.js';
import { checkBoolean, positiveMs } from '../base/option-checks.js';
import { performance } from '../base/real-timers.js';
import type { Logger } from '../base/test-override.js';
import { escaped } from '../base/text.js';
import { type Duration, durationMs } from '../base/time.js';
import { createAbortController } from '../base/wait.js';
import { InputChecks } from '../client/input-checks.js';
import type { Runtime } from '../client/runtime.js';
import { JobSender } from '../client/sender.js';
import { SignalClient } from '../client/signals.js';
import type { ResultDependencies } from '../client/wait.js';
import { maxDecodedBytes, Sealer } from '../codec/codecs.js';
import { WorkerQuery } from '../control/ask.js';
import { SharedReaders } from '../ops/shared-event-reader.js';
import { runSchedule } from '../schedule/runner.js';
import { type Declarations, type ScheduleDependencies, Scheduling } from '../schedule/schedules.js';
import { advised } from '../store/advice.js';
import { defaultLogger, resolveConnection } from '../store/connection.js';
import { ScheduleStore } from '../store/schedules.js';
import { Store, type StoreOptions } from '../store/store.js';
import { StoreTime } from '../store/store-time.js';
import { type Keeping, TagIndex } from '../store/tags.js';
import type { Registry } from '../task/definition.js';
import { checkName, checkPrefix } from '../task/option-checks.js';
import { Router } from '../task/routing.js';
import type { SignalRegistry } from '../task/signal.js';
import type { ExecutorDependencies } from '../worker/dependencies.js';
import type { Executor } from '../worker/executor.js';
import type { AppOptions } from './app.js';
import { recordCopy } from './describe.js';
import { maximaOf } from './limits.js';
import { adviseUnserved } from './operating.js';
import { Queues } from './queues.js';

/** Interval in which a repeated error is logged once: an outage causes the same error many times a second. */
const REPEATED_MS = 10_000;

/** Logs with the name of the app, and suppresses repetitions. */
export interface AppLogger {
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Logs a warning once, however often it is called with the same message. */
  readonly once: (message: string) => void;
  /** @param message Replaces the message of the error. */
  readonly error: (error: Error, message?: string) => void;
}

export function appLoggerOf(app: string, logger: Logger): AppLogger {
  // Messages may quote stored data: line breaks and terminal sequences are escaped.
  const named = (message: string) => `umbel "${app}": ${escaped(message)}`;
  const logged = new Set<string>();
  let last = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  return {
    info: (message) => logger.info(named(message)),
    warn: (message) => logger.warn(named(message)),
    once(message) {
      if (logged.has(message)) return;
      logged.add(message);
      logger.warn(named(message));
    },
    error(error, message = error.message || error.name) {
      const now = performance.now();
      if (message === last && now - lastAt < REPEATED_MS) return;
      last = message;
      lastAt = now;
      logger.error(named(message));
    },
  };
}

/** Shared by an app and its test overrides: they have the same tasks and schedules. */
export interface SharedDependencies {
  readonly registry: Registry;
  readonly declarations: Declarations;
  readonly signals: SignalRegistry;
}

export interface AppDependencies extends SharedDependencies {
  readonly name: string;
  readonly options: AppOptions;
  readonly log: AppLogger;
  readonly runtime: Runtime;
  readonly router: Router;
  readonly storeOptions: StoreOptions;
  readonly store: Store;
  readonly tags: TagIndex;
  readonly keeping: Keeping;
  readonly queues: Queues;
  readonly eventReaders: SharedReaders;
  readonly results: ResultDependencies;
  readonly checks: InputChecks;
  readonly sending: JobSender;
  readonly signalClient: SignalClient;
  readonly scheduling: Scheduling;
  /** Loads the code that runs jobs, which programs that only send do not load. */
  readonly executor: () => Promise<Executor>;
  readonly workerQuery: WorkerQuery;
  readonly maxMembers: number;
}

/** Creates the parts of an app. @throws {InvalidOptionError} if an option is invalid. */
export function createDependencies(
  options: AppOptions,
  systemRuntime: Runtime,
  shared: SharedDependencies,
): AppDependencies {
  const { connection, prefix, resultTtl = '1d', failureTtl = '7d', sendTimeout = '10s' } = options;
  const { logger = defaultLogger, middleware = [], hooks, sensitive = [], codecs = [] } = options;
  const searchIndex = checkBoolean('searchIndex', options.searchIndex ?? false);
  const { registry, declarations, signals } = shared;
  const name = checkName('name', options.name);
  const log = appLoggerOf(name, logger);
  const warning = recordCopy();
  if (warning !== undefined) log.once(warning);
  const time = new StoreTime(log.warn);
  const runtime: Runtime = { ...systemRuntime, clock: time.correct(systemRuntime.clock) };
  const { maxMembers, maxInputBytes, maxResultBytes } = maximaOf(options.limits);
  const router = new Router(options.queues, options.routes);
  const sealer = new Sealer(codecs, maxDecodedBytes(maxInputBytes, maxResultBytes));
  const resolved = resolveConnection(connection);
  const keptMs = {
    completed: timeToKeep('resultTtl', resultTtl),
    failed: timeToKeep('failureTtl', failureTtl),
  };
  const storeOptions: StoreOptions = {
    connection: resolved,
    prefix: prefix === undefined ? `umbel:{${name}}` : checkPrefix(prefix),
    onError: (error) => log.error(error, advised(error, resolved)),
    pause: runtime.pause,
    isUnshared: runtime.observer !== undefined,
    time,
    outages: new WeakSet(),
    sealer,
    timeoutMs: positiveMs(sendTimeout, 'sendTimeout'),
    closing: createAbortController(),
    keptMs,
  };
  const store = new Store(storeOptions);
  const keeping: Keeping = { completedMs: keptMs.completed, failedMs: keptMs.failed };
  const tags = new TagIndex(store, keeping, { searchIndex });
  const workerQuery = new WorkerQuery(store, storeOptions, runtime.clock);
  const checks = new InputChecks(registry, maxInputBytes, sensitive);
  const results: ResultDependencies = {
    store,
    runtime,
    unserved: (queue) => adviseUnserved(workerQuery, name, queue),
    warn: log.once,
    knowsTask: (task) => registry.get(task) !== undefined,
    checkInput: async (task, input, path) => void (await checks.check(task, input, path)),
  };
  const common = { registry, store, runtime, checks, tags, middleware, maxMembers };
  const sending = new JobSender({ ...common, router, results });
  const signalClient = new SignalClient({
    ...{ store, sealer, runtime, signals, sensitive },
    maxBytes: maxInputBytes,
  });
  const scheduleParts: ScheduleDependencies = {
    declarations,
    schedules: new ScheduleStore(store, runtime.pause),
    store,
    results,
    runtime,
    sending,
    checks,
    sealer,
    info: log.info,
    warn: log.warn,
    onError: log.error,
  };
  const executorDependencies: Omit<ExecutorDependencies, 'runSchedule'> = {
    ...common,
    app: name,
    sealer,
    hooks,
    maxResultBytes,
    signals: signalClient,
    onError: log.error,
  };
  const queues = new Queues({ router, registry, store, workerQuery, now: () => runtime.clock.now() });
  const eventReaders = new SharedReaders({
    store,
    options: storeOptions,
    queues: () => queues.ofTasks(),
    onQueue: (listener) => queues.onAdded(listener),
    warn: log.warn,
  });
  let loading: Promise<Executor> | undefined;
  const executor = () => {
    loading ??= loadExecutor(executorDependencies, scheduleParts);
    return loading;
  };
  return {
    ...{
      registry,
      declarations,
      signals,
      signalClient,
      name,
      options,
      log,
      runtime,
      router,
      storeOptions,
      store,
      tags,
      keeping,
      results,
      checks,
      sending,
    },
    ...{ executor, workerQuery, maxMembers, queues, eventReaders },
    scheduling: new Scheduling(scheduleParts),
  };
}

async function loadExecutor(
  dependencies: Omit<ExecutorDependencies, 'runSchedule'>,
  scheduleParts: ScheduleDependencies,
): Promise<Executor> {
  const { Executor } = await import('../worker/executor.js');
  return new Executor({
    ...dependencies,
    runSchedule: (job, envelope) => runSchedule(scheduleParts, job, envelope),
  });
}

/** @throws {InvalidOptionError} for 0: callers could not read an outcome then. */
function timeToKeep(option: string, duration: Duration): number {
  const ms = durationMs(duration, option);
  if (ms > 0) return ms;
  const expected =
    'more than 0, because waiting callers read the outcome from the store (a few minutes are enough; ' +
    '`ignoreResult` stores no result)';
  throw new InvalidOptionError(option, expected, duration);
}
