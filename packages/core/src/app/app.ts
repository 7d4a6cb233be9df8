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
import type { Jobs, Runs } from '../ops/job-query.js';
import type { ScheduleHandle, Schedules, ScheduleTarget } from '../schedule/handle.js';
import type { ScheduleOptions } from '../schedule/options.js';
import type { Connection } from '../store/connection.js';
import type { QueueHandle } from '../store/queues.js';
import type { RepairCounts } from '../store/repair.js';
import type { AddedBy, AnyMiddleware } from '../task/middleware.js';
import { checkHooks, type Hooks } from '../task/middleware.js';
import type { SendOptions } from '../task/options.js';
import type { QueueOptions, Routes } from '../task/routing.js';
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

export interface AppOptions<Stack extends readonly AnyMiddleware[] = readonly AnyMiddleware[]> {
  /** Letters, digits, `_`, `.` and `-`, at most 100. Apps of different names never see each other's jobs. */
  name: string;
  /** Default: the environment variable `UMBEL_URL`, else a Redis on this machine. */
  connection?: Connection | undefined;
  /**
   * What every key in the store begins with. Default `umbel:{<name>}`: the braces keep an app's keys on one node of a
   * Redis Cluster, which flows need. Letters, digits, `_`, `.`, `-`, `:`, `{` and `}`, at most 200.
   */
  prefix?: string | undefined;
  /**
   * The app's queues (`'default'` is always one), with what holds for each as a whole. Then a call to any other is
   * refused; without this, a call to one that no task and no route names.
   */
  queues?: readonly string[] | Readonly<Record<string, QueueOptions>> | undefined;
  /** The queues of tasks that name none: by pattern (`{ 'email.*': 'email' }`), or a function. Default: `'default'`. */
  routes?: Routes | undefined;
  /** How long a call that this app sends is kept after its end, and a run, with all its steps, after its own. Default 1 day. */
  resultTtl?: Duration | undefined;
  /** The same of those that fail. Default 7 days. */
  failureTtl?: Duration | undefined;
  /** How long a command is tried again while the store cannot be reached. Default 10 s. */
  sendTimeout?: Duration | undefined;
  /** Round every sending and every attempt; the first is the outermost. What it adds to `ctx` is typed in handlers. */
  middleware?: Stack;
  /** Called round the attempts of every task, before the task's own. */
  hooks?: Hooks | undefined;
  /** Names of keys, at any depth of every input, whose values are masked in logs, progress and errors. */
  sensitive?: readonly string[] | undefined;
  /** What values go through on their way to the store, in this order: `[compression(), encryption({ … })]`. */
  codecs?: readonly Codec[] | undefined;
  limits?: Limits | undefined;
  /** Where connection errors and the like are told. Default `console`; with `umbel worker`, its log. */
  logger?: Logger | undefined;
}

/** Which calls and compositions are meant. */
export interface RunQuery {
  tag: string;
}

/** What is refused before it is stored. */
export interface Limits {
  /**
   * Longest input, in bytes of JSON. Default 1 MiB. A worker refuses a stored one that is longer than 32 MiB and than
   * this; what steps have put together may be longer than the input of a call.
   */
  inputBytes?: number | undefined;
  /** Longest result, in bytes of JSON; also of progress, and of what comes with a failure. Default 1 MiB. */
  resultBytes?: number | undefined;
  /**
   * Most members of a group, and most jobs of a `map` or `chunks`, that are given as a list or come from one. Default
   * 10,000. Members that are read while they are sent are not counted.
   */
  groupMembers?: number | undefined;
}

/** Binds tasks to a store. Nothing connects before the first call or worker. `Added` is what middleware adds to `ctx`. */
export interface App<Added = {}> {
  readonly name: string;
  /**
   * Declares a task with its handler.
   * @throws {DuplicateTaskError} if the app has a task of that name.
   * @throws {InvalidOptionError} if the name or an option has a value it cannot have.
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
  /** Declares a task without its handler, so that whoever sends it need not load the handler. */
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
  /** The contract (from `defineTask`), sending to this app. The given one is not changed. */
  bind<C extends AnyContract>(contract: C): C;
  /** Gives a contract its handler, in the process that runs it; returns the contract bound to this app. */
  implement<C extends AnyContract>(contract: C, run: Handler<C, Added>, options?: ImplementOptions): C;
  /**
   * Gives each contract its handler, by the keys of the two objects; returns the contracts bound to this app.
   * @throws {InvalidOptionError} if the keys are not the same. No handler is given then.
   */
  implementAll<const Contracts extends Readonly<Record<string, AnyContract>>>(
    contracts: Contracts,
    handlers: Handlers<Contracts, Added>,
    options?: ImplementOptions,
  ): { readonly [Key in keyof Contracts]: Contracts[Key] };
  /**
   * A task by its name, for one that this process does not know: it can be sent, and stand in compositions. Its result
   * is `unknown`, or what the caller says it is: `app.signature<{ n: number }>('count')`. A name that no worker has a
   * handler for ends the job with an `UnknownTaskError`.
   * @throws {InvalidOptionError} if no task can have such a name.
   */
  signature<Out = unknown>(name: string): NamedTask<Out>;
  /**
   * The tasks that a module exports, by their own names, without loading that module:
   * `app.client<typeof import('./tasks.js')>().resize.delay({ … })`. Nothing is checked here but by the compiler; the
   * worker checks inputs.
   */
  client<Module extends object>(): Client<Module>;
  /**
   * Sends a call by name, for a task that this process does not know: its input is checked by the worker only, and the
   * worker's options hold where the call gives none.
   * @throws as `applyAsync`.
   */
  send(name: string, input?: unknown, options?: SendOptions): Promise<AsyncResult<unknown>>;
  /**
   * The handle of an earlier call of a task, a signature or a composition, by its id, also in another process. Typed by
   * what was called.
   */
  result<Called extends AnySignature>(
    called: Called,
    id: string,
  ): AsyncResult<OutputOf<Called>, Called['~extras']>;
  /** The handle of any earlier call or composition, by its id. */
  result(id: string): AsyncResult<unknown>;
  /**
   * Handles of the calls and compositions that bear a tag, as a whole or in a part of them, the latest first: those
   * that the store still holds.
   */
  find(query: RunQuery): AsyncIterableIterator<AsyncResult<unknown>>;
  /**
   * Keeps what bears a tag from starting, for good: calls, whole compositions and, where only a part bears it, that part.
   * As `revoke` of a handle. Gives the number of jobs of tasks that were marked.
   */
  revoke(query: RunQuery & RevokeOptions): Promise<number>;
  /**
   * What happens to the app's jobs, runs and workers, as it happens or from an earlier place on: of each job in its order,
   * over all queues by the store's time. It goes on until it is left (`break`), `signal` is aborted or the app is closed;
   * while the store cannot be reached it waits, and goes on where it was. It reads from the store as fast as it is
   * consumed, over one connection of its own.
   * @throws {InvalidOptionError} if an option has a value it cannot have.
   * @throws {UnknownQueueError} if the app has no queue of a given name.
   * @throws {ConnectionError} when the first event is asked for, if the store cannot be reached.
   */
  events<const Type extends EventType = EventType>(
    query?: EventQuery<Type>,
  ): AsyncIterableIterator<EventOf<Type>>;
  /** A queue as a whole: counts, pause, concurrency, rate limit. @throws {UnknownQueueError} if there is none of that name. */
  queue(name: string): QueueHandle;
  /** The failed jobs: to list, inspect, replay, also with another input, and discard; one or many. */
  readonly deadLetters: DeadLetters;
  /** The jobs of tasks: to search, and to look at. */
  readonly jobs: Jobs;
  /** The compositions: to search, and to look at. */
  readonly runs: Runs;
  /**
   * Looks at every job that waits for others, and puts right what would wait for ever: for nothing, for a job that is
   * gone from the store, or for one that has ended. Workers do the same by and by (`repairInterval`). Gives what was
   * done.
   */
  repair(): Promise<RepairCounts>;
  /**
   * Declares a schedule: the target, a task, a signature or a composition whose input is complete, is sent again and
   * again. Nothing is stored before a worker of a program that declares it is started, or `schedules.sync()` is called;
   * then any worker of the app fires its slots, each once. A handler finds the schedule's name in the header
   * `umbel-schedule` and its slot, as an ISO time, in `umbel-scheduled-at`. A task's `unique`, `throttle` and `debounce`
   * do not hold for what is sent so; `overlap` does.
   * @throws {ScheduleError} if the app has a schedule of that name, or the target cannot be stored.
   * @throws {InvalidOptionError} if the name or an option has a value it cannot have.
   */
  schedule<S extends AnyStep>(
    name: string,
    options: ScheduleOptions,
    target: S & ScheduleTarget<S>,
  ): ScheduleHandle<OutputOf<S>>;
  /** The schedules: to list, look after and store. */
  readonly schedules: Schedules;
  /** Looks at the app's workers and queues, from any process. */
  readonly inspect: Inspect;
  /** Directs the app's workers, queues and jobs, from any process. */
  readonly control: Control;
  /**
   * Looks for what may be wrong, and changes nothing: how the store is set up, what waits for ever, and queued jobs that
   * would fail since their task or its schema has changed. Costs a command for each job that is looked at.
   */
  diagnose(options?: DiagnosisOptions): Promise<Diagnosis>;
  /** The tasks and queues that this process knows, and where the store is. */
  describe(): AppDescription;
  /** A worker for this app's queues; it takes jobs once started. */
  worker(options?: WorkerOptions): AppWorker;
  /**
   * Closes this app's workers (waiting for running jobs) and connections, for good: calls that are under way end, and
   * later ones are refused with a {@link ClosedError}.
   */
  close(): Promise<void>;
}

/** What belongs to a handler and not to its contract. */
export type ImplementOptions = Pick<TaskDefinition<string, Schema, Schema, unknown>, 'isolate'> & {
  hooks?: Hooks;
};

/**
 * An app: the one object that knows where tasks are sent.
 * @throws {InvalidOptionError} if an option has a value it cannot have.
 */
export function createApp<const Stack extends readonly AnyMiddleware[] = readonly AnyMiddleware[]>(
  options: AppOptions<Stack>,
): App<AddedBy<Stack>> {
  checkOptions(options, OPTIONS, { example: "{ name: 'shop' }" });
  if (options.limits !== undefined)
    checkOptions(options.limits, LIMITS, { option: 'limits', above: 'limits.' });
  checkHooks(options.hooks);
  return new AppCore(options) as unknown as App<AddedBy<Stack>>; // its methods are typed by what the definitions promise, above
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
};

const LIMITS: OptionNames<Limits> = { inputBytes: true, resultBytes: true, groupMembers: true };

/** True for what `createApp` gives, also where another copy of this package has made it. */
export function isApp(value: unknown): value is App {
  return typeof value === 'object' && value !== null && APP in value;
}

/** The run-time side of an app. @throws {InvalidOptionError} if it is not one. */
export function coreOf(app: App<never>): AppCore {
  if (app instanceof AppCore) return app;
  const expected = isApp(app)
    ? 'of this copy of @umbel/core: two are loaded, and `npm ls @umbel/core` shows them'
    : 'what createApp gives';
  throw new InvalidOptionError('app', expected, app);
}
