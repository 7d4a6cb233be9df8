import { type Operating, operatingOf } from './app/operating.js';
import { type AppParts, makeParts, type SharedParts } from './app/parts.js';
import { findByTag, revokeByTag } from './app/tags.js';
import { Workers } from './app/workers.js';
import type { AppOptions, ImplementOptions, RunQuery } from './app.js';
import { APP } from './brand.js';
import type { DeadLetters } from './bullmq/dead-letters.js';
import { isJobId } from './bullmq/job-id.js';
import { type QueueHandle, queueHandle } from './bullmq/queue-handle.js';
import type { RepairCounts } from './bullmq/repair.js';
import { repairAll } from './bullmq/repairer.js';
import type { Store } from './bullmq/store.js';
import type { Clock } from './clock.js';
import type { Control } from './control/control.js';
import type { Inspect } from './control/inspect.js';
import { type AppDescription, describeApp } from './description.js';
import { type Diagnosis, type DiagnosisOptions, diagnose } from './diagnosis.js';
import { InvalidOptionError } from './errors.js';
import type { AppEvent, EventQuery } from './events/event.js';
import { Subscription } from './events/subscription.js';
import type { MembersFeed } from './flow/feed.js';
import type { FlowNode } from './flow/node.js';
import type { Jobs, Runs } from './queries/query.js';
import type { AsyncResult, RevokeOptions } from './results/async-result.js';
import { StoredResult } from './results/result.js';
import { type HandledTask, offerHandler } from './running/isolated/handlers.js';
import type { ActiveJob } from './running/job.js';
import type { ActivityListener } from './running/worker/activity.js';
import type { AppWorker } from './running/worker/app-worker.js';
import type { WorkerOptions } from './running/worker/options.js';
import type { QueueWorker } from './running/worker/worker.js';
import { type Runtime, systemRuntime } from './runtime.js';
import { Declarations } from './schedules/declared.js';
import { type ScheduleHandle, type Schedules, scheduleHandle } from './schedules/handle.js';
import { normalizeSchedule, type ScheduleOptions } from './schedules/options.js';
import { refused } from './schedules/schedules.js';
import { plannedTarget, storableTarget } from './schedules/target.js';
import { actual } from './stand-in.js';
import { clientOf } from './tasks/client.js';
import { CONTRACT, ContractObject, paired } from './tasks/contract.js';
import { type Definition, isolationOf, toEntry } from './tasks/definition.js';
import { checkHooks } from './tasks/hooks.js';
import { checkOptions, type OptionNames } from './tasks/known-options.js';
import {
  type BulkOptions,
  checkBoolean,
  checkName,
  type NormalizedOptions,
  type SendOptions,
} from './tasks/options.js';
import { Registry, type TaskEntry } from './tasks/registry.js';
import { isSigned, type Sender, type Signed, type TaskExpression } from './tasks/signature.js';
import { TaskObject } from './tasks/task.js';
import { refuseUnbound } from './tasks/unbound.js';
import { maskFor } from './wire/masking.js';

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

/** An app at run time: hands what is asked of it to the part that does it. While a test stands in, that is the test's. */
export class AppCore implements Sender, Operating {
  readonly [APP] = true;
  readonly name: string;
  readonly maxMembers: number;
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
  readonly #parts: AppParts;
  readonly #workers: Workers;
  #closing: Promise<void> | undefined;

  constructor(
    options: AppOptions,
    runtime: Runtime = systemRuntime,
    shared: SharedParts = { registry: new Registry(), declarations: new Declarations() },
  ) {
    this.#parts = makeParts(options, runtime, shared);
    this.#workers = new Workers(this.#parts, () => this.#disconnect());
    this.name = this.#parts.name;
    this.maxMembers = this.#parts.maxMembers;
    const { deadLetters, schedules, jobs, runs, inspect, control } = operatingOf(() => actual(this).#parts);
    this.deadLetters = deadLetters;
    this.schedules = schedules;
    this.jobs = jobs;
    this.runs = runs;
    this.inspect = inspect;
    this.control = control;
  }

  /** An app with the same tasks, on a store and a runtime of its own. */
  fork(options: Partial<AppOptions>, runtime: Runtime): AppCore {
    return new AppCore({ ...this.#parts.options, ...options }, runtime, this.#parts);
  }

  /** Tells a listener of the attempts of all workers of this app in this process; gives a function that stops it. */
  onActivity(listener: ActivityListener): () => void {
    return this.#workers.listen(listener);
  }

  /** What metrics are made of. */
  get measured(): Measured {
    const { store, runtime, queues, registry } = this.#parts;
    return {
      store,
      clock: runtime.clock,
      queues: () => queues.known(),
      hasTask: (name) => registry.get(name) !== undefined,
      workers: this.#workers.open,
    };
  }

  /** Takes queues for those of the app, beside the ones that its options, tasks and routes name. */
  learnQueues(names: Iterable<string>): void {
    this.#parts.queues.learn(names);
  }

  /** An input or another value of a task's job, with what is `sensitive` masked, as in the logs of its handler. */
  masked(task: string, value: unknown): unknown {
    const { registry, checks } = this.#parts;
    return maskFor(checks.sensitiveOf(registry.get(task) ?? { name: task, options: {} }), [value]).value(
      value,
    );
  }

  /** The result of one attempt at a job that no store holds. @throws what the handler throws. */
  async perform(job: ActiveJob): Promise<unknown> {
    return (await this.#parts.executor()).perform(job);
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
    this.#parts.registry.declare(entry);
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
      this.#parts.checks.checkTreeAtOnce(node);
    } catch (cause) {
      throw refused(name, cause);
    }
    this.#parts.declarations.add(name, times, storableTarget(name, node));
    return scheduleHandle(name, () => actual(this).#parts.scheduling);
  }

  worker(options: WorkerOptions = {}): AppWorker {
    return this.#workers.make(options);
  }

  /** What makes workers in this process, whatever started it. */
  ownWorkers(): Promise<(options: WorkerOptions) => QueueWorker> {
    return this.#workers.ownMaker();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Workers first: their handlers may still send. */
  async #close(): Promise<void> {
    await this.#workers.close();
    const closed = this.#parts.store.close(); // from here on nothing connects
    await Promise.all([closed, this.#parts.asking.close()]);
  }

  /** Lets the process end, if nothing else keeps it alive; what is asked later connects again. */
  async #disconnect(): Promise<void> {
    if (this.#closing !== undefined) return;
    await this.#parts.asking.close();
    await this.#parts.store.disconnect();
  }

  send(
    target: TaskExpression | string,
    input?: unknown,
    options: SendOptions<never> = {},
    shared?: NormalizedOptions,
  ): Promise<AsyncResult<unknown>> {
    return typeof target === 'object' && target !== null
      ? actual(this).#parts.sending.send(target, input, options, shared)
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
    return actual(this).#parts.sending.sendMany(expression, inputs, options);
  }

  sendRun(
    root: FlowNode,
    input: unknown,
    options: SendOptions<never>,
    feeds: readonly MembersFeed[],
  ): Promise<AsyncResult<unknown>> {
    return actual(this).#parts.sending.sendRun(root, input, options, feeds);
  }

  timeKnown(options: SendOptions<never>): Promise<void> | undefined {
    return actual(this).#parts.sending.timeKnown(options);
  }

  normalizeOptions(options: SendOptions<never>): NormalizedOptions {
    return actual(this).#parts.sending.normalizeOptions(options);
  }

  optionsOf(
    expression: TaskExpression,
    headers?: Readonly<Record<string, string>>,
  ): NormalizedOptions & { queue: string } {
    return this.#parts.sending.optionsOf(expression, headers);
  }

  result(...args: readonly [id: string] | readonly [called: Signed, id: string]): AsyncResult<unknown> {
    const [called, id] = args.length === 1 ? [undefined, args[0]] : args;
    if (called !== undefined && !isSigned(called))
      throw new InvalidOptionError('called', 'a task, a signature or a composition', called);
    if (typeof id !== 'string' || !isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
    const task = called instanceof TaskObject ? called.name : undefined;
    const { results, registry, router, queues } = actual(this).#parts;
    const own = task === undefined ? undefined : registry.get(task)?.options.queue;
    const usual = task === undefined ? [] : [router.usualQueue(task, own)];
    return new StoredResult(results, { queues: () => [...new Set([...usual, ...queues.known()])] }, id);
  }

  find(query: RunQuery): AsyncGenerator<AsyncResult<unknown>, void> {
    const { tag } = checkOptions(query, FIND, { option: 'query' });
    return findByTag(actual(this).#parts, tag);
  }

  async revoke(query: RunQuery & RevokeOptions): Promise<number> {
    const { tag, terminate = false } = checkOptions(query, REVOKE, { option: 'query' });
    checkBoolean('terminate', terminate);
    return revokeByTag(actual(this).#parts, tag, terminate);
  }

  queue(name: string): QueueHandle {
    this.#parts.queues.handle(name);
    const { store, runtime } = actual(this).#parts;
    return queueHandle(store, name, () => runtime.clock.now());
  }

  async repair(): Promise<RepairCounts> {
    const { store, queues, tags, runtime } = actual(this).#parts;
    const counts = await repairAll(store, queues.known());
    await tags.clean(runtime.clock.now());
    return counts;
  }

  diagnose(options: DiagnosisOptions = {}): Promise<Diagnosis> {
    const { store, queues, registry, checks } = actual(this).#parts;
    return diagnose({ store, registry, checks, queues: queues.known() }, options);
  }

  describe(): AppDescription {
    const { name, storeOptions, registry, router } = actual(this).#parts;
    return describeApp(name, storeOptions, registry, router);
  }

  events(query: EventQuery = {}): AsyncIterableIterator<AppEvent> {
    const { queues, eventReaders } = actual(this).#parts;
    for (const queue of Array.isArray(query.queues) ? query.queues : []) queues.check(queue);
    return new Subscription(eventReaders, query);
  }

  #addHandled(task: HandledTask): void {
    this.#parts.registry.add(task);
    if (this.#parts.registry.size === MANY_TASKS) this.#parts.telling.warn(TOO_MANY_TASKS);
    offerHandler(this.name, task);
  }
}

const IMPLEMENT: OptionNames<ImplementOptions> = { isolate: true, hooks: true };
const FIND: OptionNames<RunQuery> = { tag: true };
const REVOKE: OptionNames<RunQuery & RevokeOptions> = { tag: true, terminate: true };

function entryOf(contract: ContractObject): TaskEntry {
  const entry = contract[CONTRACT];
  if (entry === undefined) throw new InvalidOptionError('contract', 'what defineTask gives', contract);
  return entry;
}

/** More than a program has. */
const MANY_TASKS = 1000;
const TOO_MANY_TASKS =
  `${MANY_TASKS} tasks are defined, and each stays in memory. Define a task once, where its module is loaded, ` +
  'and not in a handler or a request: what differs between calls is their input';

refuseUnbound(AppCore, 'app');
