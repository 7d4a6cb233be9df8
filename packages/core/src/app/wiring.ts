/** What an app is made of, put together from its options. */

import { InvalidOptionError } from '../base/errors.js';
import { checkInteger, positiveMs } from '../base/option-checks.js';
import { performance } from '../base/real-timers.js';
import type { Logger } from '../base/test-override.js';
import { escaped } from '../base/text.js';
import { type Duration, durationMs } from '../base/time.js';
import { createAbortController } from '../base/wait.js';
import { InputChecks } from '../client/input-checks.js';
import type { Runtime } from '../client/runtime.js';
import { JobSender } from '../client/sender.js';
import type { ResultParts } from '../client/wait.js';
import { maxDecodedBytes, Sealer } from '../codec/codecs.js';
import { WorkerQuery } from '../control/ask.js';
import { SharedReaders } from '../ops/shared-event-reader.js';
import { runSchedule } from '../schedule/runner.js';
import { type Declarations, type ScheduleParts, Scheduling } from '../schedule/schedules.js';
import { advised } from '../store/advice.js';
import { defaultLogger, resolveConnection } from '../store/connection.js';
import { ScheduleStore } from '../store/schedules.js';
import { Store, type StoreOptions } from '../store/store.js';
import { StoreTime } from '../store/store-time.js';
import { TagIndex } from '../store/tags.js';
import type { Registry } from '../task/definition.js';
import { checkName, checkPrefix } from '../task/option-checks.js';
import { Router } from '../task/routing.js';
import type { ExecutorDependencies } from '../worker/dependencies.js';
import type { Executor } from '../worker/executor.js';
import type { AppOptions } from './app.js';
import { noteCopy } from './describe.js';
import { whoIsMissing } from './operating.js';
import { Queues } from './queues.js';

// How an app tells its logger something: under its name, and what repeats not every time.

/** While the same error comes again and again, as many times a second from a lost store, it is told this rarely. */
const REPEATED_MS = 10_000;

export interface AppLogger {
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** A warning that is said once, however often it would be. */
  readonly once: (message: string) => void;
  /** @param message In the place of the error's own. */
  readonly error: (error: Error, message?: string) => void;
}

export function appLoggerOf(app: string, logger: Logger): AppLogger {
  // What is told may quote the store: it stays on its line, and no terminal obeys it.
  const named = (message: string) => `umbel "${app}": ${escaped(message)}`;
  const told = new Set<string>();
  let last = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  return {
    info: (message) => logger.info(named(message)),
    warn: (message) => logger.warn(named(message)),
    once(message) {
      if (told.has(message)) return;
      told.add(message);
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

const MEBIBYTE = 1_048_576;
/** Members of one group that are planned at once. */
const GROUP_MEMBERS = 10_000;

/** What all copies of an app share: one that stands in for it in a test has the same tasks and schedules. */
export interface SharedDependencies {
  readonly registry: Registry;
  readonly declarations: Declarations;
}

export interface AppDependencies extends SharedDependencies {
  readonly name: string;
  readonly options: AppOptions;
  readonly telling: AppLogger;
  readonly runtime: Runtime;
  readonly router: Router;
  readonly storeOptions: StoreOptions;
  readonly store: Store;
  readonly tags: TagIndex;
  readonly queues: Queues;
  readonly eventReaders: SharedReaders;
  readonly results: ResultParts;
  readonly checks: InputChecks;
  readonly sending: JobSender;
  readonly scheduling: Scheduling;
  /** Loads the code that runs jobs, which programs that only send do not need. */
  readonly executor: () => Promise<Executor>;
  readonly asking: WorkerQuery;
  readonly maxMembers: number;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function makeParts(options: AppOptions, given: Runtime, shared: SharedDependencies): AppDependencies {
  const { connection, prefix, resultTtl = '1d', failureTtl = '7d', sendTimeout = '10s' } = options;
  const {
    logger = defaultLogger,
    limits = {},
    middleware = [],
    hooks,
    sensitive = [],
    codecs = [],
  } = options;
  const { registry, declarations } = shared;
  const name = checkName('name', options.name);
  const telling = appLoggerOf(name, logger);
  const copies = noteCopy();
  if (copies !== undefined) telling.once(copies);
  const time = new StoreTime(telling.warn);
  const runtime: Runtime = { ...given, clock: time.correct(given.clock) };
  const maxMembers = checkInteger(
    'limits.groupMembers',
    limits.groupMembers ?? GROUP_MEMBERS,
    1,
    100_000_000,
  );
  const router = new Router(options.queues, options.routes);
  const maxInputBytes = limitOf('limits.inputBytes', limits.inputBytes);
  const maxResultBytes = limitOf('limits.resultBytes', limits.resultBytes);
  const sealer = new Sealer(codecs, maxDecodedBytes(maxInputBytes, maxResultBytes));
  const at = resolveConnection(connection);
  const keptMs = {
    completed: timeToKeep('resultTtl', resultTtl),
    failed: timeToKeep('failureTtl', failureTtl),
  };
  const storeOptions: StoreOptions = {
    connection: at,
    prefix: prefix === undefined ? `umbel:{${name}}` : checkPrefix(prefix),
    onError: (error) => telling.error(error, advised(error, at)),
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
  const tags = new TagIndex(store, { completedMs: keptMs.completed, failedMs: keptMs.failed });
  const asking = new WorkerQuery(store, storeOptions, runtime.clock);
  const checks = new InputChecks(registry, maxInputBytes, sensitive);
  const results: ResultParts = {
    store,
    runtime,
    unserved: (queue) => whoIsMissing(asking, name, queue),
    warn: telling.once,
    knowsTask: (task) => registry.get(task) !== undefined,
    checkInput: async (task, input, path) => void (await checks.check(task, input, path)),
  };
  const common = { registry, store, runtime, checks, tags, middleware, maxMembers };
  const sending = new JobSender({ ...common, router, results });
  const scheduleParts: ScheduleParts = {
    declarations,
    schedules: new ScheduleStore(store, runtime.pause),
    store,
    results,
    runtime,
    sending,
    checks,
    sealer,
    info: telling.info,
    warn: telling.warn,
    onError: telling.error,
  };
  const executorParts: Omit<ExecutorDependencies, 'runSchedule'> = {
    ...common,
    app: name,
    sealer,
    hooks,
    maxResultBytes,
    onError: telling.error,
  };
  const queues = new Queues({ router, registry, store, asking, now: () => runtime.clock.now() });
  const eventReaders = new SharedReaders({
    store,
    options: storeOptions,
    queues: () => queues.ofTasks(),
    onQueue: (listener) => queues.onAdded(listener),
    warn: telling.warn,
  });
  let loading: Promise<Executor> | undefined;
  const executor = () => {
    loading ??= loadExecutor(executorParts, scheduleParts);
    return loading;
  };
  return {
    ...{
      registry,
      declarations,
      name,
      options,
      telling,
      runtime,
      router,
      storeOptions,
      store,
      tags,
      results,
      checks,
      sending,
    },
    ...{ executor, asking, maxMembers, queues, eventReaders },
    scheduling: new Scheduling(scheduleParts),
  };
}

async function loadExecutor(
  dependencies: Omit<ExecutorDependencies, 'runSchedule'>,
  scheduleParts: ScheduleParts,
): Promise<Executor> {
  const { Executor } = await import('../worker/executor.js');
  return new Executor({
    ...dependencies,
    runSchedule: (job, envelope) => runSchedule(scheduleParts, job, envelope),
  });
}

/** @throws {InvalidOptionError} for no time at all: nobody could wait for an outcome then. */
function timeToKeep(option: string, duration: Duration): number {
  const ms = durationMs(duration, option);
  if (ms > 0) return ms;
  const expected =
    'more than 0, since whoever waits for a job reads its outcome from the store (a few minutes are enough; ' +
    '`ignoreResult` stores no result)';
  throw new InvalidOptionError(option, expected, duration);
}

function limitOf(option: string, bytes = MEBIBYTE): number {
  return checkInteger(option, bytes, 1, 512 * MEBIBYTE); // what Redis takes as one value
}
