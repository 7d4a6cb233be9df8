import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { AsyncResult } from '../../client/async-result.js';
import type { FailureRecord, StepOutcome } from '../../codec/error-record.js';
import type { RunGraph } from '../../workflow/graph.js';
import type { TaskContext } from '../context.js';
import type { Hooks } from '../middleware.js';
import type { BulkOptions, SendOptions, SignatureOptions, TaskOptions } from '../options.js';
import type { Expression } from '../signature.js';
import type { Bindable, Bound, KeysOf, Open, Prettify, RestOf } from './bind.js';
import type { IsAny, Received, WireSafe, WithoutReadonly } from './json.js';
import type {
  AnyResult,
  DelayArgs,
  InputArg,
  InputArgs,
  InputOf,
  OutputOf,
  Result,
  Step,
  StepAfter,
  TaskInputArg,
} from './step.js';

export type Schema = StandardSchemaV1;
export type VoidSchema = StandardSchemaV1<void, void>;

/** What a producer sends (zod: `z.input`). */
export type Encoded<S extends Schema> = StandardSchemaV1.InferInput<S>;
/** What a handler receives (zod: `z.output`). */
export type Decoded<S extends Schema> = StandardSchemaV1.InferOutput<S>;
type Awaitable<T> = T | Promise<T>;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/**
 * A result as it arrives: `any` is `unknown` to whoever receives it; `undefined` in a union arrives as `null`, which is
 * what JSON makes of it; lists in it, at any depth, are those of a fresh copy.
 */
type Fresh<T> =
  IsAny<T> extends true
    ? unknown
    : T extends undefined
      ? null
      : [T] extends [WithoutReadonly]
        ? T
        : [T] extends [Received<T>]
          ? T
          : Received<T>;

/** The schema of an input that JSON can carry: the parameter of a function that makes tasks of any schema. */
export type InputSchema<S extends Schema> = WireSafe<Encoded<S>, S, 'input'>;

/** The schema of a result that JSON can carry, as that of an input. */
export type OutputSchema<S extends Schema> = WireSafe<[S] extends [never] ? 0 : Decoded<S>, S, 'output'>;

/**
 * A call described but not sent: immutable, and plain data through `toJSON`. It can be sent as it is, or stand as a
 * step in a composition.
 */
export interface Signature<Name extends string, In, Out, Extras = {}> extends Step<Name, In, Out> {
  readonly '~extras': Extras;
  /**
   * Sends the call now and gives a handle to its result.
   * @throws {ValidationError} if the complete input does not fit the schema of its task.
   */
  delay<Value extends In = In>(...input: DelayArgs<In, Value>): Promise<AsyncResult<Out, Extras>>;
  /**
   * Sends the call with options, see `SendOptions`.
   * @throws {ValidationError} if the complete input does not fit the schema of its task.
   * @throws {InvalidOptionError} if an option has a value it cannot have.
   * @throws {UnknownQueueError} if the queue is not one of the app's.
   * @throws {IdempotencyConflictError} if its key came before with another input.
   * @throws {ConnectionError} if the store cannot be reached for longer than `sendTimeout`.
   */
  applyAsync<Value extends In = In>(
    input: InputArg<In, Value>,
    options: SendOptions<Out> & { ignoreResult: true },
  ): Promise<AsyncResult<null, Extras>>;
  applyAsync<Value extends In = In>(
    input: InputArg<In, Value>,
    options?: SendOptions<Out>,
  ): Promise<AsyncResult<Out, Extras>>;
  /** A copy with options of its own; they win over the task's and over those given when a composition is sent. */
  set(options: SignatureOptions): Signature<Name, In, Out, Extras>;
  /** A copy with labels to search and revoke by, beside those it has. @throws {InvalidOptionError} beyond 20 of 200 characters. */
  tag(...labels: string[]): Signature<Name, In, Out, Extras>;
  /**
   * The chain of this and one more step, which takes the result. Of `a.pipe(b).pipe(c)` the compiler reports each step
   * that does not fit, of `chain(a, b, c)` the first one.
   * @throws {CanvasNotLoadedError} unless `@umbel/canvas` was imported.
   * @throws {CanvasError} if `next` is not a step.
   */
  pipe<Gives extends AnyResult>(
    next: StepAfter<Result<Name, Out>, Gives>,
  ): Signature<'chain', In, Gives['~out']>;
  /**
   * A copy that sends the callback once with the result, after success. A callback is a call of its own: that it fails
   * changes no result. The same one, by its data, is kept once; this holds for `linkError` and `finally` too.
   * @throws {InvalidOptionError} if the callback is no signature.
   */
  link(callback: StepAfter<Result<Name, Out>, AnyResult>): Signature<Name, In, Out, Extras>;
  /** A copy that sends the callback once with a `FailureRecord`, after the final failure; not if it was revoked. */
  linkError(
    callback: StepAfter<Result<'failure', FailureRecord>, AnyResult>,
  ): Signature<Name, In, Out, Extras>;
  /** A copy that sends the callback once with a `StepOutcome`, however it ends; of a revoked one, with an error of the code `REVOKED`. */
  finally(
    callback: StepAfter<Result<'outcome', StepOutcome<Out>>, AnyResult>,
  ): Signature<Name, In, Out, Extras>;
  /**
   * The tasks that a sending would run, their order, and how many jobs they would be; nothing is sent. What a result
   * decides is drawn as it may come, see `RunGraph`.
   * @throws {UnboundTaskError} if a task belongs to no app.
   */
  graph(): RunGraph;
  /** The call as plain data. */
  toJSON(): Expression;
}

/** A declared unit of work. It is also the signature of a call with nothing bound. */
export interface Task<Name extends string, In, Out, Extras = {}> extends Signature<Name, In, Out, Extras> {
  readonly name: Name;
  /** Sends the call with options, as that of every signature. */
  applyAsync<Value extends In = In>(
    input: TaskInputArg<In, Value>,
    options: SendOptions<Out> & { ignoreResult: true },
  ): Promise<AsyncResult<null, Extras>>;
  applyAsync<Value extends In = In>(
    input: TaskInputArg<In, Value>,
    options?: SendOptions<Out>,
  ): Promise<AsyncResult<Out, Extras>>;
  /**
   * Sends many calls, in slices of 500 that take one round trip each; gives their handles in the same order.
   * @throws {ValidationError} naming the first input that does not fit; nothing is sent then.
   */
  sendMany(inputs: Iterable<In>, options?: BulkOptions): Promise<AsyncResult<Out, Extras>[]>;
  /** A signature with nothing bound. */
  s(): Signature<Name, In, Out, Extras>;
  /** Binds some keys; the rest stay open: taken from the previous result, or from `delay`. Bound keys win. */
  s<const Part extends Bindable<In>>(
    bound: Part & Bound<Part, In>,
  ): Signature<Name, Open<In, Part>, Out, Extras>;
  /** Immutable: binds everything; whatever the previous step gives is ignored. */
  si(...input: InputArgs<In>): Signature<Name, unknown, Out, Extras>;
  /** The previous result goes, whole, into `key`. */
  into<Key extends KeysOf<In>>(
    key: Key,
    ...rest: {} extends RestOf<In, Key> ? [rest?: RestOf<In, Key>] : [rest: RestOf<In, Key>]
  ): Signature<Name, In extends unknown ? In[Key & keyof In] : never, Out, Extras>;
}

/** A task, a signature or a composition, whatever it needs and gives. */
export type AnySignature = Step<string, never, unknown> & { readonly '~extras': object };

export type AnyTask = AnySignature & { readonly name: string };

/** What producers import: a task's name, schemas and options without its handler. */
export interface Contract<Name extends string, In, Out, Extras = {}> extends Task<Name, In, Out, Extras> {
  readonly '~contract': true;
}

export type AnyContract = AnyTask & { readonly '~contract': true };

/** The handler a contract asks for; `Added` is what middleware adds to its context. */
export type Handler<C, Added = {}> =
  C extends Contract<string, infer In, infer Out, infer Extras>
    ? Extras extends { coded: { in: infer Received; out: infer Returned } }
      ? (input: Received, ctx: TaskContext<Extras> & Added) => Awaitable<Returned>
      : (input: In, ctx: TaskContext<Extras> & Added) => Awaitable<Out>
    : never;

/** The function itself is the conditional type, so that literals in a returned object keep their type. */
type Run<In, Returned, OutputSchema extends Schema, Context> = [OutputSchema] extends [never]
  ? (input: In, ctx: Context) => WireSafe<Returned, Awaitable<Returned>, 'result'>
  : (input: In, ctx: Context) => Awaitable<Encoded<OutputSchema>>;

/** Handler types travel with a contract only where the decoded form differs from what is sent. */
export type ContractExtras<In extends Schema, Out extends Schema> = [
  Same<Encoded<In>, Decoded<In>>,
  Same<Encoded<Out>, Fresh<Decoded<Out>>>,
] extends [true, true]
  ? {}
  : Prettify<{ coded: { in: Decoded<In>; out: Encoded<Out> } }>;

/** What `defineTask` takes: everything about a task but its handler. */
export interface ContractDefinition<
  Name extends string,
  In extends Schema,
  Out extends Schema,
  Progress extends Schema = never,
  States extends string = never,
  Failures extends FailureSchemas = {},
> extends TaskOptions<Encoded<In>> {
  /** Unique in the app: letters, digits, `_`, `.` and `-`, at most 100. */
  name: Name;
  /** Any Standard Schema. Checked when sent and again before the handler. Absent: the task takes no input. */
  input?: InputSchema<In>;
  /** Any Standard Schema, checked before a result is stored. Absent: inferred from `run`, not checked. */
  output?: OutputSchema<Out>;
  /** Any Standard Schema, of what `ctx.progress` is given. Absent: anything that JSON carries. */
  progress?: Progress;
  /** States of its own that a handler can show with `ctx.setState`. */
  states?: readonly States[];
  /** Failures that callers are to tell apart, each with the schema of its data: for `ctx.fail` and `result.outcome()`. */
  failures?: Failures;
  /** Names of keys, at any depth of the input, whose values are masked in logs, progress and errors. */
  sensitive?: readonly string[] | undefined;
}

export interface TaskDefinition<
  Name extends string,
  In extends Schema,
  Out extends Schema,
  Returned,
  Progress extends Schema = never,
  States extends string = never,
  Failures extends FailureSchemas = {},
  Added = {},
> extends ContractDefinition<Name, In, Out, Progress, States, Failures> {
  run: Run<Decoded<In>, Returned, Out, TaskContext<ReportsOf<Progress, States, Failures>> & Added>;
  hooks?: Hooks<TaskContext<ReportsOf<Progress, States, Failures>>, Added> | undefined;
  /**
   * The module that defines this task (`import.meta.url`). Its handler then runs in a child process that loads that
   * module, and that is killed at the task's `timeout` or when the job is given up. For work that blocks the event loop.
   */
  isolate?: string | URL | undefined;
}

/** The same for a task whose result type may come from its handler. */
export type TaskExtras<In extends Schema, Out extends Schema, Returned> = [Out] extends [never]
  ? Same<Encoded<In>, Decoded<In>> extends true
    ? {}
    : { coded: { in: Decoded<In>; out: Returned } }
  : ContractExtras<In, Out>;

/** What the handler of a task receives, decoded. */
export type ReceivedBy<Task> = Task extends { readonly '~extras': { coded: { in: infer Received } } }
  ? Received
  : InputOf<Task>;

/** What the handler of a task gives, before it is encoded. */
export type ReturnedBy<Task> = Task extends { readonly '~extras': { coded: { out: infer Returned } } }
  ? Returned
  : OutputOf<Task>;

/** The result type of a task: of its output schema, else of its handler. */
export type TaskResult<Out extends Schema, Returned> = [Out] extends [never]
  ? Fresh<Returned>
  : Fresh<Decoded<Out>>;

// What a task declares beside its input and output. Kept in the phantom `~extras` of its type.

/**
 * What a task reports while it runs, and how it may fail. Not an interface: that would have a name, which the declaration
 * files of those who export a task could not write.
 */
type Reports<Progress, States extends string, Failures> = {
  readonly progress: Progress;
  readonly states: States;
  readonly failures: Failures;
};

type AnySchema = StandardSchemaV1;

/** The declared failures and the data of each, as the handler gives it. */
export type FailureSchemas = Readonly<Record<string, AnySchema>>;

type DataOf<Failures extends FailureSchemas> = {
  [Failure in keyof Failures]: StandardSchemaV1.InferInput<Failures[Failure]>;
};

/** The part of a task's extras that its reports make; empty when it declares none. */
export type ReportsOf<Progress extends AnySchema, States extends string, Failures extends FailureSchemas> = [
  Progress,
  States,
  keyof Failures,
] extends [never, never, never]
  ? {}
  : {
      reports: Reports<
        [Progress] extends [never] ? unknown : StandardSchemaV1.InferInput<Progress>,
        States,
        Prettify<DataOf<Failures>>
      >;
    };

export type ProgressOf<Extras> = Extras extends { reports: Reports<infer Progress, string, unknown> }
  ? Progress
  : unknown;
export type StatesOf<Extras> = Extras extends { reports: Reports<unknown, infer States, unknown> }
  ? States
  : never;
export type FailuresOf<Extras> = Extras extends { reports: Reports<unknown, string, infer Failures> }
  ? Failures
  : {};
