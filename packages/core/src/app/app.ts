/** The public interface of an app, and `createApp`. `AppCore` implements it. */

import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import type { Logger } from '../base/test-override.js';
import type { Duration } from '../base/time.js';
import type { AsyncResult, RevokeOptions } from '../client/async-result.js';
import type { Codec } from '../codec/codecs.js';
import type { Control } from '../control/control.js';
import type { Inspect } from '../control/inspect.js';
import type { DeadLetters } from '../ops/dead-letters.js';
import type { Diagnosis, DiagnosisOptions } from '../ops/diagnosis.js';
import type { EventOf, EventQuery, EventType } from '../ops/events.js';
import type { AppHistory } from '../ops/history.js';
import type { Jobs, Runs } from '../ops/job-query.js';
import type { Signals } from '../ops/signals.js';
import type { ScheduleHandle, Schedules, ScheduleTarget } from '../schedule/handle.js';
import type { ScheduleOptions } from '../schedule/options.js';
import type { Connection } from '../store/connection.js';
import type { OpenTransaction } from '../store/engine/transaction.js';
import type { QueueHandle } from '../store/queues.js';
import type { RepairCounts } from '../store/repair.js';
import { type AddedBy, type AnyMiddleware, checkHooks, type Hooks } from '../task/middleware.js';
import type { SendOptions } from '../task/options.js';
import type { QueueOptions, Routes } from '../task/routing.js';
import type { ReceivedPayload, Signal, SignalDefinition } from '../task/signal.js';
import type { Client, Handlers, NamedTask } from '../task/types/bind.js';
import type { AnyStep, OutputOf } from '../task/types/step.js';
import type {
  AnyContract,
  AnySignature,
  Contract,
  ContractDefinition,
  ContractExtras,
  Encoded,
  FailureSchemas,
  Handler,
  ReportsOf,
  Schema,
  Task,
  TaskDefinition,
  TaskExtras,
  TaskResult,
  VoidSchema,
} from '../task/types/task.js';
import type { AppWorker } from '../worker/app-worker.js';
import type { WorkerOptions } from '../worker/options.js';
import { APP, AppCore } from './core.js';
import type { AppDescription } from './describe.js';
import { checkLimits, type Limits } from './limits.js';
import type { TransactionSender } from './transaction-sender.js';

/** Options of `createApp`. */
export interface AppOptions<Stack extends readonly AnyMiddleware[] = readonly AnyMiddleware[]> {
  /** Letters, digits, `_`, `.` and `-`, at most 100. Apps with different names never see each other's jobs. */
  name: string;
  /** Connection to the store. Default: the environment variable `UMBEL_URL`, else Redis on this machine. */
  connection?: Connection | undefined;
  /**
   * Prefix of every key in the store. Default `umbel:{<name>}`: the braces keep the keys of an app on one node of a Redis
   * Cluster, which workflows need. Letters, digits, `_`, `.`, `-`, `:`, `{` and `}`, at most 200.
   */
  prefix?: string | undefined;
  /**
   * The queues of the app, with their options; `'default'` always exists. A call to any other queue is refused. Without
   * this option, a call is refused if its queue is named by no task and no route.
   */
  queues?: readonly string[] | Readonly<Record<string, QueueOptions>> | undefined;
  /** Queues of tasks without a queue: by pattern (`{ 'email.*': 'email' }`), or a function. Default: `'default'`. */
  routes?: Routes | undefined;
  /** How long a completed job is kept after its end, and a workflow run with all its steps. Default 1 day. */
  resultTtl?: Duration | undefined;
  /** How long a failed job or workflow run is kept after its end. Default 7 days. */
  failureTtl?: Duration | undefined;
  /** How long a command is retried while the store is unreachable. Default 10 s. */
  sendTimeout?: Duration | undefined;
  /** Middleware around every send and every attempt; the first is the outermost. Its additions to `ctx` are typed. */
  middleware?: Stack;
  /** Hooks for the attempts of every task, called before the hooks of the task. */
  hooks?: Hooks | undefined;
  /** Names of keys whose values are masked in logs, progress and errors, at any depth of every input. */
  sensitive?: readonly string[] | undefined;
  /** Codecs that encode values for the store, in this order: `[compression(), encryption({ … })]`. */
  codecs?: readonly Codec[] | undefined;
  /** Maximum sizes of values and groups. */
  limits?: Limits | undefined;
  /** Receives warnings and connection errors. Default `console`; in `umbel worker`, its log. */
  logger?: Logger | undefined;
  /**
   * Whether `app.jobs.list` finds jobs by `task` and `error` with an index. Senders and workers write it, so set it in all
   * programs of the app: jobs that were sent without it are not found. For its cost see docs/performance.md. Default false.
   */
  searchIndex?: boolean | undefined;
}

/** Selects jobs and workflow runs. */
export interface RunQuery {
  /** The tag of a job, a workflow run or a part of one. */
  tag: string;
}

/**
 * An app binds tasks to a store. It connects at the first call or when a worker starts.
 * `Added` is the type of what middleware adds to `ctx`.
 * @example
 * const app = createApp({ name: 'shop' });
 * const add = app.task({ name: 'add', run: async () => 1 });
 * const result = await add.delay();
 */
export interface App<Added = {}> {
  readonly name: string;
  /**
   * Declares a task with its handler.
   * @throws {DuplicateTaskError} if the app has a task of that name.
   * @throws {InvalidOptionError} if the name or an option is invalid.
   * @example
   * const resize = app.task({ name: 'resize', run: async () => 'done' });
   */
  task<
    const Name extends string,
    Returned,
    In extends Schema = VoidSchema,
    Out extends Schema = never,
    Progress extends Schema = never,
    const States extends string = never,
    Failures extends FailureSchemas = {},
  >(
    definition: TaskDefinition<Name, In, Out, Returned, Progress, States, Failures, Added>,
  ): Task<
    Name,
    Encoded<In>,
    TaskResult<Out, Returned>,
    TaskExtras<In, Out, Returned> & ReportsOf<Progress, States, Failures>
  >;
  /** Declares a task without its handler, so that programs that send it need not load the handler. */
  defineTask<
    const Name extends string,
    In extends Schema = VoidSchema,
    Out extends Schema = VoidSchema,
    Progress extends Schema = never,
    const States extends string = never,
    Failures extends FailureSchemas = {},
  >(
    definition: ContractDefinition<Name, In, Out, Progress, States, Failures>,
  ): Contract<
    Name,
    Encoded<In>,
    TaskResult<Out, never>,
    ContractExtras<In, Out> & ReportsOf<Progress, States, Failures>
  >;
  /** Returns a contract (from `defineTask`) that sends to this app. The original contract is not changed. */
  bind<C extends AnyContract>(contract: C): C;
  /** Sets the handler of a contract in the process that runs it. Returns the contract bound to this app. */
  implement<C extends AnyContract>(contract: C, run: Handler<C, Added>, options?: ImplementOptions): C;
  /**
   * Sets the handlers of several contracts, matched by the keys of the two objects. Returns the contracts bound to this app.
   * @throws {InvalidOptionError} if the keys differ. No handler is set then.
   */
  implementAll<const Contracts extends Readonly<Record<string, AnyContract>>>(
    contracts: Contracts,
    handlers: Handlers<Contracts, Added>,
    options?: ImplementOptions,
  ): { readonly [Key in keyof Contracts]: Contracts[Key] };
  /**
   * Returns a task by name that this process does not know. It can be sent and used in workflows. Its result has the type
   * `unknown`, or the type argument: `app.signature<{ n: number }>('count')`. If no worker has a handler of that name, the
   * job fails with an `UnknownTaskError`.
   * @throws {InvalidOptionError} if the name is invalid.
   */
  signature<Out = unknown>(name: string): NamedTask<Out>;
  /**
   * Returns the tasks of a module by their export names, without loading the module:
   * `app.client<typeof import('./tasks.js')>().resize.delay({ … })`. Only the compiler checks them here; the worker checks
   * the inputs.
   */
  client<Module extends object>(): Client<Module>;
  /**
   * Sends a call by name, for a task that this process does not know. Only the worker checks its input, and the worker's
   * options apply unless the call sets them.
   * @throws the errors of `applyAsync`.
   * @example
   * const result = await app.send('mail.send', { to: 'a@example.com' }, { queue: 'email' });
   */
  send(name: string, input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  /**
   * Returns an object that sends in an open transaction of yours, if the store of the app is in the same PostgreSQL
   * database. What it sends exists if and only if the transaction commits.
   * @param transaction A client of `pg`, or another kind of `OpenTransaction`.
   * @throws {StoreConfigurationError} if the store is another one, such as Redis.
   * @throws {InvalidOptionError} for an object of another kind.
   */
  in(transaction: OpenTransaction): TransactionSender;
  /**
   * Returns the handle of an earlier call of a task, a signature or a workflow by its id, also from another process. Its
   * type follows from `called`.
   */
  result<Called extends AnySignature>(
    called: Called,
    id: string,
  ): AsyncResult<OutputOf<Called>, Called['~extras']>;
  /** Returns the handle of an earlier call or workflow run by its id. */
  result(id: string): AsyncResult<unknown>;
  /**
   * Yields handles of the stored calls and workflow runs with a tag, or with a tag in a part of them, latest first.
   */
  find(query: RunQuery): AsyncIterableIterator<AsyncResult<unknown>>;
  /**
   * Revokes everything with a tag, like `revoke` of a handle: calls, whole workflow runs, and parts of workflow runs.
   * Returns the number of task jobs that were revoked.
   */
  revoke(query: RunQuery & RevokeOptions): Promise<number>;
  /**
   * Yields the events of the app's jobs, workflow runs and workers, live or from an earlier position. Events of one job are
   * in order; events of different queues are ordered by the store's time. The iterator ends with `break`, with the
   * `signal`, or when the app closes. During a store outage it waits, and then continues. It reads as fast as it is
   * consumed, over a separate connection.
   * @throws {InvalidOptionError} if an option is invalid.
   * @throws {UnknownQueueError} if the app has no queue of that name.
   * @throws {ConnectionError} at the first event, if the store is unreachable.
   * @example
   * for await (const event of app.events({ types: ['failed'] })) console.log(event.id);
   */
  events<const Type extends EventType = EventType>(
    query?: EventQuery<Type>,
  ): AsyncIterableIterator<EventOf<Type>>;
  /** Returns a queue: counts, pause, concurrency, rate limit. @throws {UnknownQueueError} if the app has no such queue. */
  queue(name: string): QueueHandle;
  /** Failed jobs: list, inspect, replay (also with another input) and discard, one or in bulk. */
  readonly deadLetters: DeadLetters;
  /** Throughput, failures, run and wait times over time. */
  readonly history: AppHistory;
  /** Jobs of tasks: search and inspect. */
  readonly jobs: Jobs;
  /** Workflow runs: search and inspect. */
  readonly runs: Runs;
  /**
   * Checks every job that waits for others, and repairs those that would wait forever: for no job, for a job that is
   * missing from the store, or for one that has ended. Workers do the same in the background (`repairInterval`). Returns
   * the number of repairs.
   */
  repair(): Promise<RepairCounts>;
  /**
   * Declares a schedule that sends its target repeatedly: a task, a signature or a workflow with a complete input. It is
   * stored when a worker of this program starts, or by `schedules.sync()`. Then any worker of the app fires each occurrence
   * once. A handler finds the name of the schedule in the header `umbel-schedule`, and the time of the occurrence (ISO) in
   * `umbel-scheduled-at`. `unique`, `throttle` and `debounce` of a task do not apply to scheduled calls; `overlap` does.
   * @throws {ScheduleError} if the app has a schedule of that name, or the target cannot be stored.
   * @throws {InvalidOptionError} if the name or an option is invalid.
   * @example
   * app.schedule('nightly-report', { cron: '0 3 * * *', tz: 'Europe/Berlin' }, report);
   */
  schedule<S extends AnyStep>(
    name: string,
    options: ScheduleOptions,
    target: S & ScheduleTarget<S>,
  ): ScheduleHandle<OutputOf<S>>;
  /**
   * Declares a signal, for which workflows wait with `waitFor`. Declare it where senders and workers both import it: both
   * check the payload.
   * @throws {InvalidOptionError} if the app has a signal of that name, or the name or an option is invalid.
   * @example
   * const paid = app.signal({ name: 'order.paid', payload: z.object({ receipt: z.string() }) });
   */
  signal<const Name extends string, S extends Schema = VoidSchema>(
    definition: SignalDefinition<Name, S>,
  ): Signal<Name, Encoded<S>, ReceivedPayload<S>>;
  /** Signals: list the waits that are open, and send by name. */
  readonly signals: Signals;
  /** Schedules: list, change and store. */
  readonly schedules: Schedules;
  /** Inspects the app's workers and queues, from any process. */
  readonly inspect: Inspect;
  /** Controls the app's workers, queues and jobs, from any process. */
  readonly control: Control;
  /**
   * Checks the app read-only: the configuration of the store, jobs that would wait forever, and queued jobs that would fail
   * because their task or its schema changed. It sends one command for each checked job.
   */
  diagnose(options?: DiagnosisOptions): Promise<Diagnosis>;
  /**
   * Returns a copy of a value of a task's job in which the values of `sensitive` keys are masked, as in its logs: the keys of
   * the app and, if this process knows the task, those of the task. For tools that show inputs and results.
   * @example
   * console.log(app.mask('user.create', { name: 'ada', password: 'secret' })); // { name: 'ada', password: '***' }
   */
  mask(task: string, value: unknown): unknown;
  /** Returns the tasks and queues that this process knows, and the address of the store. */
  describe(): AppDescription;
  /**
   * Creates a worker for the app's queues. It takes jobs once it is started.
   * @throws {InvalidOptionError} if an option is invalid.
   * @example
   * const worker = await app.worker({ queues: ['email'], concurrency: 20 }).start();
   */
  worker(options?: WorkerOptions): AppWorker;
  /**
   * Closes the app's workers, waiting for running jobs, and its connections. Pending calls end, and later calls throw a
   * {@link ClosedError}.
   */
  close(): Promise<void>;
}

/** Options of a handler that are not part of its contract. */
export type ImplementOptions = Pick<TaskDefinition<string, Schema, Schema, unknown>, 'isolate'> & {
  hooks?: Hooks;
};

/**
 * Creates an app. It does not connect before the first call.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * const app = createApp({ name: 'shop', connection: 'redis://localhost:6379' });
 */
export function createApp<const Stack extends readonly AnyMiddleware[] = readonly AnyMiddleware[]>(
  options: AppOptions<Stack>,
): App<AddedBy<Stack>> {
  checkOptions(options, OPTIONS, { example: "{ name: 'shop' }" });
  checkLimits(options.limits);
  checkHooks(options.hooks);
  return new AppCore(options) as unknown as App<AddedBy<Stack>>; // AppCore is untyped; `App` types its methods
}

const OPTIONS: OptionNames<AppOptions> = {
  name: true,
  connection: true,
  prefix: true,
  queues: true,
  routes: true,
  resultTtl: true,
  failureTtl: true,
  sendTimeout: true,
  middleware: true,
  hooks: true,
  sensitive: true,
  codecs: true,
  limits: true,
  logger: true,
  searchIndex: true,
};

/**
 * Returns whether a value is an app, also one of another copy of this package.
 * @example
 * const exported: Record<string, unknown> = await import('./tasks.js');
 * const apps = Object.values(exported).filter(isApp);
 */
export function isApp(value: unknown): value is App {
  return typeof value === 'object' && value !== null && APP in value;
}

/** Returns the implementation of an app. @throws {InvalidOptionError} if the value is not an app of this copy. */
export function coreOf(app: App<never>): AppCore {
  if (app instanceof AppCore) return app;
  const expected = isApp(app)
    ? 'of this copy of @umbel/core: two are loaded, and `npm ls @umbel/core` shows them'
    : 'an app from createApp';
  throw new InvalidOptionError('app', expected, app);
}
