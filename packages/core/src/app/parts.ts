/** What an app is made of, put together from its options. */
import { createAbortController } from '../abort.js';
import type { AppOptions } from '../app.js';
import { resolveConnection } from '../bullmq/connection.js';
import { ScheduleStore } from '../bullmq/schedule-store.js';
import { Store, type StoreOptions } from '../bullmq/store.js';
import { advised } from '../bullmq/store-advice.js';
import { StoreTime } from '../bullmq/store-time.js';
import { TagIndex } from '../bullmq/tag-index.js';
import { Asking } from '../control/asking.js';
import { noteCopy } from '../copies.js';
import { type Duration, durationMs } from '../duration.js';
import { InvalidOptionError } from '../errors.js';
import { SharedReaders } from '../events/shared-readers.js';
import { defaultLogger } from '../process-defaults.js';
import type { ResultParts } from '../results/watching.js';
import type { Executor } from '../running/execute.js';
import type { ExecutorParts } from '../running/parts.js';
import type { Runtime } from '../runtime.js';
import type { Declarations } from '../schedules/declared.js';
import type { ScheduleParts } from '../schedules/parts.js';
import { runSchedule } from '../schedules/runner.js';
import { Scheduling } from '../schedules/schedules.js';
import { InputChecks } from '../sending/checks.js';
import { Sending } from '../sending/sending.js';
import { checkInteger, checkName, checkPrefix, positiveMs } from '../tasks/options.js';
import type { Registry } from '../tasks/registry.js';
import { Router } from '../tasks/routing.js';
import { maxDecodedBytes, Sealer } from '../wire/sealing.js';
import { whoIsMissing } from './missing-workers.js';
import { Queues } from './queues.js';
import { type Telling, tellingOf } from './telling.js';

const MEBIBYTE = 1_048_576;
/** Members of one group that are planned at once. */
const GROUP_MEMBERS = 10_000;

/** What all copies of an app share: one that stands in for it in a test has the same tasks and schedules. */
export interface SharedParts {
  readonly registry: Registry;
  readonly declarations: Declarations;
}

export interface AppParts extends SharedParts {
  readonly name: string;
  readonly options: AppOptions;
  readonly telling: Telling;
  readonly runtime: Runtime;
  readonly router: Router;
  readonly storeOptions: StoreOptions;
  readonly store: Store;
  readonly tags: TagIndex;
  readonly queues: Queues;
  readonly eventReaders: SharedReaders;
  readonly results: ResultParts;
  readonly checks: InputChecks;
  readonly sending: Sending;
  readonly scheduling: Scheduling;
  /** Loads the code that runs jobs, which programs that only send do not need. */
  readonly executor: () => Promise<Executor>;
  readonly asking: Asking;
  readonly maxMembers: number;
}

/** @throws {InvalidOptionError} if an option has a value it cannot have. */
export function makeParts(options: AppOptions, given: Runtime, shared: SharedParts): AppParts {
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
  const telling = tellingOf(name, logger);
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
  const asking = new Asking(store, storeOptions, runtime.clock);
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
  const sending = new Sending({ ...common, router, results });
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
  const executorParts: Omit<ExecutorParts, 'runSchedule'> = {
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
  parts: Omit<ExecutorParts, 'runSchedule'>,
  scheduleParts: ScheduleParts,
): Promise<Executor> {
  const { Executor } = await import('../running/execute.js');
  return new Executor({
    ...parts,
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
