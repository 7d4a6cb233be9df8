import { hostname } from 'node:os';
import type { AppOptions, ImplementOptions, RunQuery } from './app.js';
import { APP } from './brand.js';
import { connectionFacts, isShared, resolveConnection } from './bullmq/connection.js';
import { terminate } from './bullmq/control.js';
import { type DeadLetterParts, type DeadLetters, deadLetters } from './bullmq/dead-letters.js';
import { isJobId } from './bullmq/job-id.js';
import { type QueueHandle, queueHandle, setConcurrency, setRateLimit } from './bullmq/queue-handle.js';
import type { RepairCounts } from './bullmq/repair.js';
import { repairAll } from './bullmq/repairer.js';
import { ScheduleStore } from './bullmq/schedule-store.js';
import { Store, type StoreOptions } from './bullmq/store.js';
import { StoreTime } from './bullmq/store-time.js';
import { TagIndex } from './bullmq/tag-index.js';
import type { Clock } from './clock.js';
import { Asking } from './control/asking.js';
import { type Control, type ControlParts, controlOf } from './control/control.js';
import { type Inspect, type InspectParts, inspectOf } from './control/inspect.js';
import { registeredTasks } from './control/registered.js';
import type { AppFacts } from './control/worker-control.js';
import { type AppDescription, describeApp } from './description.js';
import { type Diagnosis, type DiagnosisOptions, diagnose } from './diagnosis.js';
import { durationMs } from './duration.js';
import { InvalidOptionError } from './errors.js';
import type { AppEvent, EventQuery } from './events/event.js';
import { openEvents } from './events/open-events.js';
import type { MembersFeed } from './flow/feed.js';
import { type FlowNode, INTERNAL_QUEUE } from './flow/node.js';
import type { Logger } from './logger.js';
import { defaultLogger } from './process-defaults.js';
import { jobQueries, type QueryParts, runQueries } from './queries/jobs.js';
import type { Jobs, Runs } from './queries/query.js';
import type { AsyncResult } from './results/async-result.js';
import { StoredResult } from './results/result.js';
import { revokeJobs } from './results/revoking.js';
import { isFinal } from './results/state.js';
import type { ResultParts } from './results/watching.js';
import { Executor } from './running/execute.js';
import { type HandledTask, offerHandler } from './running/isolated/handlers.js';
import type { ActiveJob } from './running/job.js';
import { AbsentWorker } from './running/processes/absent-worker.js';
import { createWorker } from './running/processes/create-worker.js';
import type { ActivityListener } from './running/worker/activity.js';
import type { WorkerOptions } from './running/worker/options.js';
import { type AppWorker, QueueWorker, type WorkerParts } from './running/worker/worker.js';
import { type Runtime, systemRuntime } from './runtime.js';
import { Declarations } from './schedules/declared.js';
import { type ScheduleHandle, type Schedules, scheduleHandle } from './schedules/handle.js';
import { normalizeSchedule, type ScheduleOptions } from './schedules/options.js';
import type { ScheduleParts } from './schedules/parts.js';
import { runSchedule } from './schedules/runner.js';
import { refused, Scheduling } from './schedules/schedules.js';
import { plannedTarget, storableTarget } from './schedules/target.js';
import { InputChecks } from './sending/checks.js';
import { Sending } from './sending/sending.js';
import { actual } from './stand-in.js';
import { clientOf } from './tasks/client.js';
import { CONTRACT, ContractObject, paired } from './tasks/contract.js';
import { type Definition, toEntry } from './tasks/definition.js';
import {
  type BulkOptions,
  checkInteger,
  checkName,
  checkPrefix,
  checkQueue,
  checkTags,
  type NormalizedOptions,
  positiveMs,
  type SendOptions,
} from './tasks/options.js';
import { Registry, type TaskEntry } from './tasks/registry.js';
import { Router } from './tasks/routing.js';
import type { Sender, TaskExpression } from './tasks/signature.js';
import { TaskObject } from './tasks/task.js';
import { Sealer } from './wire/sealing.js';

const MEBIBYTE = 1_048_576;
/** Members of one group that are planned at once. */
const GROUP_MEMBERS = 10_000;

/** What is measured of an app in this process. */
export interface Measured {
  readonly store: Store;
  readonly clock: Clock;
  /** Those of its tasks and its options, and Umbel's own. */
  readonly queues: () => readonly string[];
  readonly hasTask: (name: string) => boolean;
  /** Those that are not closed. */
  readonly workers: ReadonlySet<AppWorker>;
}

/** An app at run time: what its parts are, and which of them does what. */
export class AppCore implements Sender {
  readonly [APP] = true;
  readonly name: string;
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
  readonly maxMembers: number;
  readonly #options: AppOptions;
  readonly #logger: Logger;
  readonly #runtime: Runtime;
  readonly #registry: Registry;
  readonly #router: Router;
  readonly #storeOptions: StoreOptions;
  readonly #store: Store;
  readonly #tags: TagIndex;
  readonly #results: ResultParts;
  readonly #sending: Sending;
  readonly #executor: Executor;
  readonly #checks: InputChecks;
  readonly #declarations: Declarations;
  readonly #scheduling: Scheduling;
  readonly #asking: Asking;
  readonly #keepCompletedMs: number;
  readonly #keepFailedMs: number;
  readonly #workers = new Set<AppWorker>();
  readonly #listeners = new Set<ActivityListener>();

  constructor(
    options: AppOptions,
    runtime: Runtime = systemRuntime,
    registry = new Registry(),
    declarations = new Declarations(),
  ) {
    const { name, connection, prefix, resultTtl = '1d', failureTtl = '7d', sendTimeout = '10s' } = options;
    const {
      logger = defaultLogger,
      limits = {},
      middleware = [],
      hooks,
      sensitive = [],
      codecs = [],
    } = options;
    this.name = checkName('name', name);
    const outages = new WeakSet<Error>();
    this.maxMembers = checkInteger(
      'limits.groupMembers',
      limits.groupMembers ?? GROUP_MEMBERS,
      1,
      100_000_000,
    );
    const time = new StoreTime((message) => this.#warn(message));
    this.#options = options;
    this.#logger = logger;
    this.#runtime = { ...runtime, clock: time.correct(runtime.clock) };
    this.#registry = registry;
    this.#router = new Router(options.queues, options.routes);
    const sealer = new Sealer(codecs);
    const onError = errorReporter(name, logger);
    this.#storeOptions = {
      connection: resolveConnection(connection),
      prefix: prefix === undefined ? `umbel:{${name}}` : checkPrefix(prefix),
      onError,
      pause: runtime.pause,
      time,
      outages,
      sealer,
      timeoutMs: positiveMs(sendTimeout, 'sendTimeout'),
    };
    const store = new Store(this.#storeOptions);
    this.#store = store;
    this.#tags = new TagIndex(
      store,
      Math.max(durationMs(resultTtl, 'resultTtl'), durationMs(failureTtl, 'failureTtl')),
    );
    this.#results = {
      store,
      runtime: this.#runtime,
      terminate: (queue, id) => terminate(store, { queue, id }),
    };
    const maxInputBytes = limitOf('limits.inputBytes', limits.inputBytes);
    const checks = new InputChecks(registry, maxInputBytes, sensitive);
    this.#checks = checks;
    this.#sending = new Sending({
      registry,
      router: this.#router,
      store,
      runtime: this.#runtime,
      results: this.#results,
      middleware,
      checks,
      tags: this.#tags,
      maxMembers: this.maxMembers,
    });
    this.#declarations = declarations;
    const scheduleParts: ScheduleParts = {
      declarations,
      schedules: new ScheduleStore(store, runtime.pause),
      store,
      results: this.#results,
      runtime: this.#runtime,
      sending: this.#sending,
      checks,
      sealer,
      info: (message) => logger.info(`umbel "${name}": ${message}`),
      warn: (message) => this.#warn(message),
      onError,
    };
    this.#scheduling = new Scheduling(scheduleParts);
    const scheduling = () => actual(this).#scheduling;
    this.schedules = {
      list: () => scheduling().list(),
      get: (schedule) => scheduleHandle(checkName('name', schedule), scheduling),
      sync: (options) => scheduling().sync(options),
    };
    this.#executor = new Executor({
      app: name,
      registry,
      store,
      runtime: this.#runtime,
      sealer,
      checks,
      tags: this.#tags,
      hooks,
      middleware,
      maxMembers: this.maxMembers,
      maxResultBytes: limitOf('limits.resultBytes', limits.resultBytes),
      outages,
      onError,
      runSchedule: (job, envelope) => runSchedule(scheduleParts, job, envelope),
    });
    this.deadLetters = deadLetters(
      () => actual(this).#deadLetterParts(),
      () => this.#queues(),
    );
    this.jobs = jobQueries(() => this.#queryParts());
    this.runs = runQueries(() => this.#queryParts());
    this.#asking = new Asking(store, this.#storeOptions, this.#runtime.clock);
    this.inspect = inspectOf(() => actual(this).#inspectParts());
    this.control = controlOf(() => actual(this).#controlParts());
    this.#keepCompletedMs = durationMs(resultTtl, 'resultTtl');
    this.#keepFailedMs = durationMs(failureTtl, 'failureTtl');
  }

  /** An app with the same tasks, on a store and a runtime of its own. */
  fork(options: Partial<AppOptions>, runtime: Runtime): AppCore {
    return new AppCore({ ...this.#options, ...options }, runtime, this.#registry, this.#declarations);
  }

  /** Tells a listener of the attempts of all workers of this app in this process; gives a function that stops it. */
  onActivity(listener: ActivityListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What metrics are made of. */
  get measured(): Measured {
    return {
      store: this.#store,
      clock: this.#runtime.clock,
      queues: () => this.#queues(),
      hasTask: (name) => this.#registry.get(name) !== undefined,
      workers: this.#workers,
    };
  }

  /** The result of one attempt at a job that no store holds. @throws what the handler throws. */
  perform(job: ActiveJob): Promise<unknown> {
    return this.#executor.perform(job);
  }

  task(definition: Definition & { run: NonNullable<TaskEntry['run']> }): TaskObject {
    const { run } = definition;
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    this.#addHandled({ ...toEntry(definition), run });
    return new TaskObject(definition.name, this);
  }

  defineTask(definition: Definition): ContractObject {
    return this.bind(new ContractObject(toEntry(definition), undefined));
  }

  bind(contract: ContractObject): ContractObject {
    const entry = entryOf(contract);
    this.#registry.declare(entry);
    return new ContractObject(entry, this);
  }

  implement(
    contract: ContractObject,
    run: NonNullable<TaskEntry['run']>,
    { isolate, hooks }: ImplementOptions = {},
  ): ContractObject {
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    const entry = entryOf(contract);
    this.#addHandled({
      ...entry,
      run,
      ...(isolate !== undefined && { isolate: String(isolate) }),
      ...(hooks !== undefined && { hooks }),
    });
    return new ContractObject(entry, this);
  }

  implementAll(
    contracts: Readonly<Record<string, ContractObject>>,
    handlers: Readonly<Record<string, NonNullable<TaskEntry['run']>>>,
    options?: ImplementOptions,
  ): Readonly<Record<string, ContractObject>> {
    const pairs = paired(contracts, handlers);
    return Object.fromEntries(
      pairs.map(([key, contract, run]) => [key, this.implement(contract, run, options)]),
    );
  }

  signature(name: string): TaskObject {
    return new TaskObject(checkName('name', name), this);
  }

  client(): object {
    return clientOf((name) => this.signature(name));
  }

  schedule(name: string, options: ScheduleOptions, target: unknown): ScheduleHandle {
    checkName('name', name);
    const times = normalizeSchedule(name, options);
    const node = plannedTarget(name, target, this);
    try {
      this.#checks.checkTreeAtOnce(node);
    } catch (cause) {
      throw refused(name, cause);
    }
    this.#declarations.add(name, times, storableTarget(name, node));
    return scheduleHandle(name, () => actual(this).#scheduling);
  }

  worker(options: WorkerOptions = {}): AppWorker {
    const worker = createWorker(options, this.#workerParts(), isShared(this.#storeOptions.connection));
    if (!(worker instanceof AbsentWorker)) this.#workers.add(worker);
    return worker;
  }

  /** A worker in this process, whatever started it. */
  ownWorker(options: WorkerOptions): QueueWorker {
    const worker = new QueueWorker(options, this.#workerParts());
    this.#workers.add(worker);
    return worker;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    await this.#asking.close();
    await this.#store.close();
  }

  async send(
    target: TaskExpression | string,
    input?: unknown,
    options: SendOptions<never> = {},
  ): Promise<AsyncResult<unknown>> {
    const expression: TaskExpression =
      typeof target === 'object' && target !== null
        ? target
        : { kind: 'task', task: checkName('name', target) };
    return actual(this).#sending.send(expression, input, options);
  }

  sendMany(
    expression: TaskExpression,
    inputs: Iterable<unknown>,
    options: BulkOptions,
  ): Promise<AsyncResult<unknown>[]> {
    return actual(this).#sending.sendMany(expression, inputs, options);
  }

  sendRun(
    root: FlowNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MembersFeed[],
  ): Promise<AsyncResult<unknown>> {
    return actual(this).#sending.sendRun(root, input, options, feeds);
  }

  normalizeOptions(options: SendOptions<never>): NormalizedOptions {
    return actual(this).#sending.normalizeOptions(options);
  }

  optionsOf(expression: TaskExpression): NormalizedOptions & { queue: string } {
    return this.#sending.optionsOf(expression);
  }

  result(...args: readonly [id: string] | readonly [task: TaskObject, id: string]): AsyncResult<unknown> {
    const id = args.length === 1 ? args[0] : args[1];
    if (typeof id !== 'string' || !isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
    const task = args.length === 1 ? undefined : args[0].name;
    return actual(this).#resultOf(task, id);
  }

  async *find({ tag }: RunQuery): AsyncGenerator<AsyncResult<unknown>, void> {
    const core = actual(this);
    checkTags([tag]);
    for await (const { queue, id } of core.#tags.find(tag, core.#runtime.clock.now())) {
      if (await core.#store.holds(queue, id)) yield new StoredResult(core.#results, { queue }, id);
    }
  }

  async revoke({
    tag,
    terminate: isTerminated = false,
  }: RunQuery & { terminate?: boolean }): Promise<number> {
    const core = actual(this);
    checkTags([tag]);
    const now = core.#runtime.clock.now();
    let count = 0;
    for await (const place of core.#tags.find(tag, now)) {
      if (isFinal(await core.#store.state(place.queue, place.id))) continue;
      const marked = await revokeJobs(core.#results, place, { now, tag }, isTerminated);
      count += marked.filter((job) => job.queue !== INTERNAL_QUEUE).length;
    }
    return count;
  }

  queue(name: string): QueueHandle {
    if (!this.#queues().includes(name)) this.#router.check(name, this.#registry.queues());
    const core = actual(this);
    return queueHandle(core.#store, name, () => core.#runtime.clock.now());
  }

  repair(): Promise<RepairCounts> {
    return repairAll(actual(this).#store, this.#queues());
  }

  #deadLetterParts(): DeadLetterParts {
    return {
      store: this.#store,
      now: () => this.#runtime.clock.now(),
      check: (task, input) => this.#checks.check(task, input),
    };
  }

  events(query: EventQuery = {}): AsyncIterableIterator<AppEvent> {
    const core = actual(this);
    for (const queue of Array.isArray(query.queues) ? query.queues : []) this.#checkTaskQueue(queue);
    return openEvents(
      {
        store: core.#store,
        options: core.#storeOptions,
        queues: () => this.#taskQueues(),
        warn: (message) => core.#warn(message),
      },
      query,
    );
  }

  #inspectParts(): InspectParts {
    return {
      asking: this.#asking,
      store: this.#store,
      queues: async () => (await this.#allQueues()).filter((queue) => queue !== INTERNAL_QUEUE),
      checkQueue: (queue) => this.#anyQueue(queue),
    };
  }

  #controlParts(): ControlParts {
    return {
      asking: this.#asking,
      results: async (ids) => {
        for (const id of ids) if (!isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
        const queues = await this.#allQueues();
        return ids.map((id) => new StoredResult(this.#results, { queues: () => queues }, id));
      },
      revokeByTag: (query) => this.revoke(query),
      queue: (name) => this.#anyQueue(name),
    };
  }

  /** The queues that this app knows, and those that its workers serve. */
  async #allQueues(): Promise<string[]> {
    return [...new Set([...this.#queues(), ...(await this.#asking.servedQueues())])];
  }

  /** The handle of a queue that this app knows, or that a worker serves. @throws {UnknownQueueError} */
  async #anyQueue(name: string): Promise<QueueHandle> {
    checkQueue('queue', name);
    if (!this.#queues().includes(name) && (await this.#asking.servedQueues()).includes(name))
      return queueHandle(this.#store, name, () => this.#runtime.clock.now());
    return this.queue(name);
  }

  #workerParts(): WorkerParts {
    return {
      store: this.#storeOptions,
      jobs: this.#store,
      clock: this.#runtime.clock,
      facts: this.#facts(),
      executor: this.#executor,
      listeners: this.#listeners,
      defaultQueues: () =>
        this.#router.queuesFor(
          this.#registry.handledTasks().map(({ name, options: own }) => ({ name, queue: own.queue })),
        ),
      checkQueue: (queue) => this.#router.checkDeclared(queue),
      prepareQueue: (queue) => this.#prepareQueue(queue),
      syncSchedules: () => this.#scheduling.syncAtStart(),
      defaultName: `${hostname()}.${process.pid}`,
      keepCompletedMs: this.#keepCompletedMs,
      keepFailedMs: this.#keepFailedMs,
      info: (message) => this.#logger.info(`umbel "${this.name}": ${message}`),
      warn: (message) => this.#warn(message),
      onClose: (closed) => this.#workers.delete(closed),
      closeApp: async () => {
        if (this.#workers.size === 0) await this.close();
      },
    };
  }

  #facts(): AppFacts {
    const { connection, prefix, sealer, timeoutMs } = this.#storeOptions;
    return {
      app: this.name,
      prefix,
      connection: connectionFacts(connection),
      codecs: sealer.names,
      resultTtlMs: this.#keepCompletedMs,
      failureTtlMs: this.#keepFailedMs,
      sendTimeoutMs: timeoutMs,
      registered: () =>
        registeredTasks(this.#registry.handledTasks(), (task, own) => this.#router.usualQueue(task, own)),
    };
  }

  diagnose(options: DiagnosisOptions = {}): Promise<Diagnosis> {
    const parts = { queues: this.#queues(), registry: this.#registry, checks: this.#checks };
    return diagnose({ ...parts, store: actual(this).#store }, options);
  }

  describe(): AppDescription {
    return describeApp(this.name, actual(this).#storeOptions, this.#registry, this.#router);
  }

  #warn(message: string): void {
    this.#logger.warn(`umbel "${this.name}": ${message}`);
  }

  #addHandled(task: HandledTask): void {
    this.#registry.add(task);
    offerHandler(this.name, task);
  }

  #resultOf(task: string | undefined, id: string): AsyncResult<unknown> {
    const own = task === undefined ? undefined : this.#registry.get(task)?.options.queue;
    const usual = task === undefined ? [] : [this.#router.usualQueue(task, own)];
    return new StoredResult(this.#results, { queues: () => [...new Set([...usual, ...this.#queues()])] }, id);
  }

  #queues(): string[] {
    return [...this.#taskQueues(), INTERNAL_QUEUE];
  }

  #taskQueues(): string[] {
    return this.#router.all(this.#registry.queues());
  }

  /** @throws {UnknownQueueError} if this is none of them. */
  #checkTaskQueue(name: string): void {
    this.queue(checkQueue('queue', name));
  }

  #queryParts(): QueryParts {
    const core = actual(this);
    const { clock } = core.#runtime;
    return {
      store: core.#store,
      tags: core.#tags,
      now: () => clock.now(),
      queues: this.#taskQueues(),
      checkQueue: (queue) => this.#checkTaskQueue(queue),
    };
  }

  async #prepareQueue(queue: string): Promise<void> {
    const { concurrency, rateLimit } = this.#router.settingsOf(queue) ?? {};
    if (concurrency !== undefined) await setConcurrency(this.#store, queue, concurrency);
    if (rateLimit !== undefined) await setRateLimit(this.#store, queue, rateLimit);
  }
}

function limitOf(option: string, bytes = MEBIBYTE): number {
  return checkInteger(option, bytes, 1, 512 * MEBIBYTE); // what Redis takes as one value
}

function entryOf(contract: ContractObject): TaskEntry {
  const entry = contract[CONTRACT];
  if (entry === undefined) throw new InvalidOptionError('contract', 'what defineTask gives', contract);
  return entry;
}

/** Tells an error once and then, while it repeats, at most every ten seconds: a lost store errs many times a second. */
function errorReporter(app: string, logger: Logger): (error: Error) => void {
  let last = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    const message = error.message || error.name;
    const now = performance.now();
    if (message === last && now - lastAt < 10_000) return;
    last = message;
    lastAt = now;
    logger.error(`umbel "${app}": ${message}`);
  };
}
