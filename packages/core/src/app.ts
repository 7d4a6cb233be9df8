import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type Connection, resolveConnection } from './bullmq/connection.js';
import { Store, type StoreOptions } from './bullmq/store.js';
import { type Duration, durationMs } from './duration.js';
import { InvalidOptionError, ValidationError } from './errors.js';
import { completeInput, fill } from './flow/input.js';
import { type FlowNode, INTERNAL_QUEUE } from './flow/node.js';
import type { Logger } from './logger.js';
import { type AsyncResult, StoredResult } from './results/result.js';
import { Executor } from './running/execute.js';
import type { ActiveJob } from './running/job.js';
import { type AppWorker, QueueWorker, type WorkerOptions } from './running/worker.js';
import { observeTree, type Runtime, systemRuntime } from './runtime.js';
import { actual } from './stand-in.js';
import { CONTRACT, ContractObject } from './tasks/contract.js';
import { DEFAULT_QUEUE, type Definition, toEntry } from './tasks/definition.js';
import { checkName, type NormalizedOptions, normalizeOptions, type SendOptions } from './tasks/options.js';
import { Registry, type TaskEntry } from './tasks/registry.js';
import type { Sender, TaskExpression } from './tasks/signature.js';
import { TaskObject } from './tasks/task.js';
import type {
  AnyContract,
  Contract,
  ContractDefinition,
  ContractExtras,
  Encoded,
  Handler,
  Schema,
  Task,
  TaskDefinition,
  TaskExtras,
  TaskResult,
  VoidSchema,
} from './types/task.js';
import { jsonIssues } from './wire/json.js';
import { validate } from './wire/schema.js';

export interface AppOptions {
  /** Letters, digits, `_`, `.` and `-`, at most 100. Apps of different names never see each other's jobs. */
  name: string;
  /** Default: the environment variable `UMBEL_URL`, else a Redis on this machine. */
  connection?: Connection;
  /**
   * What every key in the store begins with. Default `umbel:{<name>}`: the braces keep an app's keys on one node of a
   * Redis Cluster, which flows need.
   */
  prefix?: string;
  /** How long results are kept. Default 1 day. */
  resultTtl?: Duration;
  /** How long failed jobs are kept. Default 7 days. */
  failureTtl?: Duration;
  /** Where connection errors and the like are told. Default `console`. */
  logger?: Logger;
}

/** Binds tasks to a store. Nothing connects before the first call or worker. */
export interface App {
  readonly name: string;
  /**
   * Declares a task with its handler.
   * @throws {DuplicateTaskError} if the app has a task of that name.
   * @throws {InvalidOptionError} if the name or an option has a value it cannot have.
   */
  task<const Name extends string, Returned, In extends Schema = VoidSchema, Out extends Schema = never>(
    definition: TaskDefinition<Name, In, Out, Returned>,
  ): Task<Name, Encoded<In>, TaskResult<Out, Returned>, TaskExtras<In, Out, Returned>>;
  /** Declares a task without its handler, so that whoever sends it need not load the handler. */
  defineTask<const Name extends string, In extends Schema = VoidSchema, Out extends Schema = VoidSchema>(
    definition: ContractDefinition<Name, In, Out>,
  ): Contract<Name, Encoded<In>, TaskResult<Out, never>, ContractExtras<In, Out>>;
  /** The contract (from `defineTask`), sending to this app. The given one is not changed. */
  bind<C extends AnyContract>(contract: C): C;
  /** Gives a contract its handler, in the process that runs it; returns the contract bound to this app. */
  implement<C extends AnyContract>(contract: C, run: Handler<C>): C;
  /** A worker for this app's queues; it takes jobs once started. */
  worker(options?: WorkerOptions): AppWorker;
  /** Closes this app's workers (waiting for running jobs) and connections. A later call opens new ones. */
  close(): Promise<void>;
}

/**
 * An app: the one object that knows where tasks are sent.
 * @throws {InvalidOptionError} if an option has a value it cannot have.
 */
export function createApp(options: AppOptions): App {
  return new AppCore(options) as unknown as App; // its methods are typed by what the definitions promise, above
}

/** The run-time side of an app. @throws {InvalidOptionError} if it is not one. */
export function coreOf(app: App): AppCore {
  if (app instanceof AppCore) return app;
  throw new InvalidOptionError('app', 'what createApp gives', app);
}

class AppCore implements Sender {
  readonly name: string;
  readonly #options: AppOptions;
  readonly #logger: Logger;
  readonly #runtime: Runtime;
  readonly #registry: Registry;
  readonly #storeOptions: StoreOptions;
  readonly #store: Store;
  readonly #executor: Executor;
  readonly #keepCompletedMs: number;
  readonly #keepFailedMs: number;
  readonly #workers = new Set<AppWorker>();

  constructor(options: AppOptions, runtime: Runtime = systemRuntime, registry = new Registry()) {
    const { name, connection, prefix, resultTtl = '1d', failureTtl = '7d', logger = console } = options;
    this.name = checkName('name', name);
    this.#options = options;
    this.#logger = logger;
    this.#runtime = runtime;
    this.#registry = registry;
    this.#storeOptions = {
      connection: resolveConnection(connection),
      prefix: prefix ?? `umbel:{${name}}`,
      onError: errorReporter(name, logger),
    };
    this.#store = new Store(this.#storeOptions);
    this.#executor = new Executor(registry, this.#store, runtime, this.#storeOptions.onError);
    this.#keepCompletedMs = durationMs(resultTtl, 'resultTtl');
    this.#keepFailedMs = durationMs(failureTtl, 'failureTtl');
  }

  /** An app with the same tasks, on a store and a runtime of its own. */
  fork(options: Partial<AppOptions>, runtime: Runtime): AppCore {
    return new AppCore({ ...this.#options, ...options }, runtime, this.#registry);
  }

  /** Runs a job that was not claimed from the store. */
  execute(job: ActiveJob): Promise<unknown> {
    return this.#executor.execute(job);
  }

  task(definition: Definition & { run: NonNullable<TaskEntry['run']> }): TaskObject {
    const { run } = definition;
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    this.#registry.add({ ...toEntry(definition), run });
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

  implement(contract: ContractObject, run: NonNullable<TaskEntry['run']>): ContractObject {
    if (typeof run !== 'function') throw new InvalidOptionError('run', 'a function', run);
    const entry = entryOf(contract);
    this.#registry.add({ ...entry, run });
    return new ContractObject(entry, this);
  }

  worker(options: WorkerOptions = {}): QueueWorker {
    const worker = new QueueWorker(options, {
      store: this.#storeOptions,
      executor: this.#executor,
      defaultQueues: () => this.#registry.handledTasks().map((task) => task.options.queue ?? DEFAULT_QUEUE),
      defaultName: `${hostname()}.${process.pid}`,
      keepCompletedMs: this.#keepCompletedMs,
      keepFailedMs: this.#keepFailedMs,
      warn: (message) => this.#logger.warn(`umbel "${this.name}": ${message}`),
      onClose: (closed) => this.#workers.delete(closed),
    });
    this.#workers.add(worker);
    return worker;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    await this.#store.close();
  }

  async send(
    expression: TaskExpression,
    input: unknown,
    options: SendOptions,
  ): Promise<AsyncResult<unknown>> {
    const standIn = actual(this);
    if (standIn !== this) return standIn.send(expression, input, options);
    const { task } = expression;
    const whole = this.#wholeInput(expression, input);
    await this.#check(task, whole);
    const own = { ...expression.options, ...this.normalizeOptions(options) };
    const { queue, ...rest } = this.optionsOf({ ...expression, options: own });
    const id = randomUUID();
    const content = whole === undefined ? {} : { input: whole };
    await this.#store.add({ id, name: task, queue, content, options: rest });
    this.#runtime.observer?.enqueued({ id, name: task, queue, options: rest, ...content });
    return this.#result(queue, id);
  }

  normalizeOptions(options: SendOptions): NormalizedOptions {
    return normalizeOptions(options, actual(this).#runtime.clock.now());
  }

  async sendRun(root: FlowNode, input: unknown): Promise<AsyncResult<unknown>> {
    const standIn = actual(this);
    if (standIn !== this) return standIn.sendRun(root, input);
    const filled = fill(root, input);
    await this.#checkTree(filled);
    const run = randomUUID();
    await this.#store.addRun(run, filled);
    if (this.#runtime.observer !== undefined) observeTree(this.#runtime.observer, run, filled);
    return this.#result(root.queue, run);
  }

  optionsOf({ task, options }: TaskExpression): NormalizedOptions & { queue: string } {
    return { queue: DEFAULT_QUEUE, ...this.#registry.get(task)?.options, ...options };
  }

  #result(queue: string, id: string): StoredResult<unknown> {
    return new StoredResult(this.#store, queue, id, this.#runtime);
  }

  #wholeInput(expression: TaskExpression, input: unknown): unknown {
    const { task, immutable } = expression;
    if (input !== undefined && immutable)
      refuseInput(task, 'the call is immutable (.si), so nothing can be passed');
    return input === undefined && expression.into === undefined
      ? expression.input
      : completeInput(task, expression, input);
  }

  /** Whole inputs are validated here, parts of one only for what JSON would change; steps validate the rest. */
  async #checkTree(node: FlowNode): Promise<void> {
    for (const next of [...(node.children ?? []), ...(node.expand?.members ?? [])])
      await this.#checkTree(next);
    if (node.queue === INTERNAL_QUEUE) return;
    const { after } = node;
    const isWhole = node.open === undefined && (after === undefined || 'ignored' in after);
    if (isWhole) await this.#check(node.name, node.input);
    else this.#checkJson(node.name, node.input);
  }

  /** @throws {ValidationError} if the input does not fit the task's schema, or JSON would change it. */
  async #check(task: string, input: unknown): Promise<void> {
    this.#checkJson(task, input);
    const entry = this.#registry.get(task);
    if (entry === undefined) return;
    if (entry.input !== undefined) await validate(entry.input, input, task, 'input');
    else if (input !== undefined) refuseInput(task, 'this task takes no input');
  }

  #checkJson(task: string, input: unknown): void {
    const issues = jsonIssues(input, 'input');
    if (issues.length > 0) throw new ValidationError(task, 'input', issues);
  }
}

function entryOf(contract: ContractObject): TaskEntry {
  const entry = contract[CONTRACT];
  if (entry === undefined) throw new InvalidOptionError('contract', 'what defineTask gives', contract);
  return entry;
}

function refuseInput(task: string, message: string): never {
  throw new ValidationError(task, 'input', [{ path: 'input', message }]);
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
