/**
 * The implementation of `App`: passes each call to the responsible part, or to that of a test override. `wiring.ts` creates
 * the parts.
 */

import { InvalidOptionError } from '../base/errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../base/option-checks.js';
import { currentFunction } from '../base/test-override.js';
import type { Clock } from '../base/time.js';
import type { AsyncResult, RevokeOptions } from '../client/async-result.js';
import { StoredResult } from '../client/result.js';
import { type Runtime, systemRuntime } from '../client/runtime.js';
import { type JobSender, senderIn } from '../client/sender.js';
import { maskFor } from '../codec/masking.js';
import type { Control } from '../control/control.js';
import type { Inspect } from '../control/inspect.js';
import type { MemberStream } from '../job/envelope.js';
import { isJobId } from '../job/ids.js';
import type { ActiveJob } from '../job/job.js';
import type { JobNode } from '../job/job-tree.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import type { DeadLetters } from '../ops/dead-letters.js';
import { type Diagnosis, type DiagnosisOptions, diagnose } from '../ops/diagnosis.js';
import { Subscription } from '../ops/event-subscription.js';
import type { AppEvent, EventQuery } from '../ops/events.js';
import type { AppHistory } from '../ops/history.js';
import type { Jobs, Runs } from '../ops/job-query.js';
import type { Signals } from '../ops/signals.js';
import { type ScheduleHandle, type Schedules, scheduleHandle } from '../schedule/handle.js';
import {
  normalizeSchedule,
  plannedTarget,
  type ScheduleOptions,
  storableTarget,
} from '../schedule/options.js';
import { Declarations, refusedSchedule } from '../schedule/schedules.js';
import type { OpenTransaction } from '../store/engine/transaction.js';
import { type QueueHandle, queueHandle } from '../store/queues.js';
import { type RepairCounts, repairAll } from '../store/repair.js';
import { checkWaits } from '../store/signals.js';
import type { Store } from '../store/store.js';
import { CONTRACT, ContractObject, pairHandlers } from '../task/contract.js';
import {
  clientOf,
  type Definition,
  isolationOf,
  Registry,
  type TaskEntry,
  TaskObject,
  toEntry,
} from '../task/definition.js';
import { checkHooks } from '../task/middleware.js';
import { checkName } from '../task/option-checks.js';
import type { BulkOptions, SendOptions } from '../task/options.js';
import { type SignalDefinition, SignalObject, SignalRegistry, toSignalEntry } from '../task/signal.js';
import { isSigned, refuseUnbound, type Sender, type Signed, type TaskExpression } from '../task/signature.js';
import type { Schema } from '../task/types/task.js';
import type { ActivityListener } from '../worker/activity.js';
import type { AppWorker } from '../worker/app-worker.js';
import { type HandledTask, offerHandler } from '../worker/isolate/messages.js';
import type { WorkerOptions } from '../worker/options.js';
import type { QueueWorker } from '../worker/worker.js';
import type { AppOptions, ImplementOptions, RunQuery } from './app.js';
import { type AppDescription, describeApp } from './describe.js';
import { type AppOperations, findByTag, operationsOf, revokeByTag } from './operating.js';
import { TransactionSenderObject } from './transaction-sender.js';
import { type AppDependencies, createDependencies, type SharedDependencies } from './wiring.js';
import { Workers } from './workers.js';

/** Marks apps, also those of another copy of this package. */
export const APP: unique symbol = Symbol.for('umbel.app');

/** The parts of an app that metrics read in this process. */
export interface MetricsInput {
  readonly store: Store;
  readonly clock: Clock;
  /** Returns the queues of the app's tasks and options, and Umbel's internal queue. */
  readonly queues: () => readonly string[];
  readonly hasTask: (name: string) => boolean;
  /** The workers that are not closed. */
  readonly workers: ReadonlySet<AppWorker>;
}

export class AppCore implements Sender, AppOperations {
  readonly [APP] = true;
  readonly name: string;
  readonly maxMembers: number;
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly signals: Signals;
  readonly history: AppHistory;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
  readonly #dependencies: AppDependencies;
  readonly #workers: Workers;
  #closing: Promise<void> | undefined;

  constructor(
    options: AppOptions,
    runtime: Runtime = systemRuntime,
    shared: SharedDependencies = {
      registry: new Registry(),
      declarations: new Declarations(),
      signals: new SignalRegistry(),
    },
  ) {
    this.#dependencies = createDependencies(options, runtime, shared);
    this.#workers = new Workers(this.#dependencies, () => this.#disconnect());
    this.name = this.#dependencies.name;
    this.maxMembers = this.#dependencies.maxMembers;
    const { deadLetters, schedules, signals, history, jobs, runs, inspect, control } = operationsOf(
      () => currentFunction(this).#dependencies,
    );
    this.deadLetters = deadLetters;
    this.schedules = schedules;
    this.signals = signals;
    this.history = history;
    this.jobs = jobs;
    this.runs = runs;
    this.inspect = inspect;
    this.control = control;
  }

  /** Returns an app with the same tasks and schedules, with another store and runtime. */
  fork(options: Partial<AppOptions>, runtime: Runtime): AppCore {
    return new AppCore({ ...this.#dependencies.options, ...options }, runtime, this.#dependencies);
  }

  /** Adds a listener for the attempts of all workers of this app in this process; returns a function that removes it. */
  onActivity(listener: ActivityListener): () => void {
    return this.#workers.listen(listener);
  }

  /** Input for metrics. */
  get measured(): MetricsInput {
    const { store, runtime, queues, registry } = this.#dependencies;
    return {
      store,
      clock: runtime.clock,
      queues: () => queues.known(),
      hasTask: (name) => registry.get(name) !== undefined,
      workers: this.#workers.open,
    };
  }

  /** Adds queues to those that the app's options, tasks and routes name. */
  learnQueues(names: Iterable<string>): void {
    this.#dependencies.queues.learn(names);
  }

  /** Returns a value of a task's job with `sensitive` values masked, as in the logs of its handler. */
  mask(task: string, value: unknown): unknown {
    const { registry, checks } = this.#dependencies;
    return maskFor(checks.sensitiveOf(registry.get(task) ?? { name: task, options: {} }), [value]).value(
      value,
    );
  }

  /** Runs one attempt at a job that is in no store, and returns its result. @throws the handler's error. */
  async perform(job: ActiveJob): Promise<unknown> {
    return (await this.#dependencies.executor()).perform(job);
  }

  task(definition: Definition & { run: NonNullable<TaskEntry['run']> }): TaskObject {
    const entry = toEntry(definition);
    const { run } = definition;
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    this.#addHandled({ ...entry, run });
    return new TaskObject(definition.name, this);
  }

  defineTask(definition: Definition): ContractObject {
    return this.bind(new ContractObject(toEntry(definition), undefined));
  }

  bind(contract: ContractObject): ContractObject {
    const entry = entryOf(contract);
    this.#dependencies.registry.declare(entry);
    return new ContractObject(entry, this);
  }

  implement(
    contract: ContractObject,
    run: NonNullable<TaskEntry['run']>,
    options: ImplementOptions = {},
  ): ContractObject {
    const { hooks } = checkOptions(options, IMPLEMENT);
    checkHooks(hooks);
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    const entry = entryOf(contract);
    this.#addHandled({
      ...entry,
      run,
      ...isolationOf(options),
      ...(hooks !== undefined && { hooks }),
    });
    return new ContractObject(entry, this);
  }

  implementAll(
    contracts: Readonly<Record<string, ContractObject>>,
    handlers: Readonly<Record<string, NonNullable<TaskEntry['run']>>>,
    options?: ImplementOptions,
  ): Readonly<Record<string, ContractObject>> {
    const pairs = pairHandlers(contracts, handlers);
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
      this.#dependencies.checks.checkTreeAtOnce(node);
    } catch (cause) {
      throw refusedSchedule(name, cause);
    }
    this.#dependencies.declarations.add(name, times, storableTarget(name, node));
    return scheduleHandle(name, () => currentFunction(this).#dependencies.scheduling);
  }

  signal(definition: SignalDefinition<string, Schema>): SignalObject {
    const entry = toSignalEntry(definition);
    this.#dependencies.signals.add(entry);
    return new SignalObject(entry.name, this, (...signal) =>
      currentFunction(this).#dependencies.signalClient.send(...signal),
    );
  }

  worker(options: WorkerOptions = {}): AppWorker {
    return this.#workers.make(options);
  }

  /** Returns a function that creates workers in this process, also in one that a supervisor started. */
  ownWorkers(): Promise<(options: WorkerOptions) => QueueWorker> {
    return this.#workers.ownMaker();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes the workers first, because their handlers may still send. */
  async #close(): Promise<void> {
    await this.#workers.close();
    const closed = this.#dependencies.store.close(); // nothing connects after this
    await Promise.all([closed, this.#dependencies.workerQuery.close()]);
  }

  /** Closes the connections, so that they do not keep the process alive; later calls connect again. */
  async #disconnect(): Promise<void> {
    await this.#dependencies.workerQuery.shutdownsAnswered();
    if (this.#closing !== undefined) return;
    await this.#dependencies.workerQuery.close();
    await this.#dependencies.store.disconnect();
  }

  send(
    target: TaskExpression | string,
    input?: unknown,
    options: SendOptions<never> = {},
    shared?: NormalizedOptions,
  ): Promise<AsyncResult<unknown>> {
    return typeof target === 'object' && target !== null
      ? this.#sender(options).send(target, input, options, shared)
      : this.#sendByName(target, input, options);
  }

  async #sendByName(
    name: string,
    input: unknown,
    options: SendOptions<never>,
  ): Promise<AsyncResult<unknown>> {
    return this.send({ kind: 'task', task: checkName('name', name) }, input, options);
  }

  sendMany(
    expression: TaskExpression,
    inputs: Iterable<unknown>,
    options: BulkOptions,
  ): Promise<AsyncResult<unknown>[]> {
    return this.#sender(options).sendMany(expression, inputs, options);
  }

  sendRun(
    root: JobNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MemberStream[],
  ): Promise<AsyncResult<unknown>> {
    return this.#sender(options).sendRun(root, input, options, feeds);
  }

  /** Returns the sender of a call: that of its transaction, or this app's. */
  #sender(options: object): JobSender {
    return senderIn(options, () => currentFunction(this).#dependencies.sending);
  }

  in(transaction: OpenTransaction): TransactionSenderObject {
    return new TransactionSenderObject(this, currentFunction(this).#dependencies, transaction);
  }

  timeKnown(options: SendOptions<never>): Promise<void> | undefined {
    return currentFunction(this).#dependencies.sending.timeKnown(options);
  }

  normalizeOptions(options: SendOptions<never>): NormalizedOptions {
    return currentFunction(this).#dependencies.sending.normalizeOptions(options);
  }

  optionsOf(
    expression: TaskExpression,
    headers?: Readonly<Record<string, string>>,
  ): NormalizedOptions & { queue: string } {
    return this.#dependencies.sending.optionsOf(expression, headers);
  }

  result(...args: readonly [id: string] | readonly [called: Signed, id: string]): AsyncResult<unknown> {
    const [called, id] = args.length === 1 ? [undefined, args[0]] : args;
    if (called !== undefined && !isSigned(called))
      throw new InvalidOptionError('called', 'a task, a signature or a workflow', called);
    if (typeof id !== 'string' || !isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
    const task = called instanceof TaskObject ? called.name : undefined;
    const { results, registry, router, queues } = currentFunction(this).#dependencies;
    const taskQueue = task === undefined ? undefined : registry.get(task)?.options.queue;
    const likely = task === undefined ? undefined : router.usualQueue(task, taskQueue);
    return new StoredResult(results, { likely, queues: () => queues.known() }, id);
  }

  find(query: RunQuery): AsyncGenerator<AsyncResult<unknown>, void> {
    const { tag } = checkOptions(query, FIND, { option: 'query' });
    return findByTag(currentFunction(this).#dependencies, tag);
  }

  async revoke(query: RunQuery & RevokeOptions): Promise<number> {
    const { tag, terminate = false } = checkOptions(query, REVOKE, { option: 'query' });
    checkBoolean('terminate', terminate);
    return revokeByTag(currentFunction(this).#dependencies, tag, terminate);
  }

  queue(name: string): QueueHandle {
    this.#dependencies.queues.handle(name);
    const { store, runtime } = currentFunction(this).#dependencies;
    return queueHandle(store, name, () => runtime.clock.now());
  }

  async repair(): Promise<RepairCounts> {
    const { store, queues, tags, runtime } = currentFunction(this).#dependencies;
    const counts = await repairAll(store, queues.known());
    const started = await checkWaits(store, runtime.pause);
    await tags.clean(runtime.clock.now());
    return { ...counts, started: counts.started + started };
  }

  diagnose(options: DiagnosisOptions = {}): Promise<Diagnosis> {
    const { store, queues, registry, checks } = currentFunction(this).#dependencies;
    return diagnose({ store, registry, checks, queues: queues.known() }, options);
  }

  describe(): AppDescription {
    const { name, storeOptions, tags, registry, router } = currentFunction(this).#dependencies;
    return describeApp(name, { ...storeOptions, searchIndex: tags.hasTerms }, registry, router);
  }

  events(query: EventQuery = {}): AsyncIterableIterator<AppEvent> {
    const { queues, eventReaders } = currentFunction(this).#dependencies;
    for (const queue of Array.isArray(query.queues) ? query.queues : []) queues.check(queue);
    return new Subscription(eventReaders, query);
  }

  #addHandled(task: HandledTask): void {
    this.#dependencies.registry.add(task);
    if (this.#dependencies.registry.size === MANY_TASKS) this.#dependencies.log.warn(TOO_MANY_TASKS);
    offerHandler(this.name, task);
  }
}

const IMPLEMENT: OptionNames<ImplementOptions> = { isolate: true, hooks: true };
const FIND: OptionNames<RunQuery> = { tag: true };
const REVOKE: OptionNames<RunQuery & RevokeOptions> = { tag: true, terminate: true };

function entryOf(contract: ContractObject): TaskEntry {
  const entry = contract[CONTRACT];
  if (entry === undefined) throw new InvalidOptionError('contract', 'a contract from defineTask', contract);
  return entry;
}

/** More tasks than a program normally defines. */
const MANY_TASKS = 1000;
const TOO_MANY_TASKS =
  `${MANY_TASKS} tasks are defined, and each stays in memory. Define each task once at module level, ` +
  'not in a handler or a request, and pass what differs between calls as input';

refuseUnbound(AppCore, 'app');
