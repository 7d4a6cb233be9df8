/** The public types of tasks, contracts, signatures and handlers. */
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
  NextStep,
  OnlyKeys,
  OutputAfter,
  OutputOf,
  Result,
  Step,
  TaskInputArg,
} from './step.js';

/** A schema of any library that follows Standard Schema. */
export type Schema = StandardSchemaV1;
/** The schema of a task without an input or an output. */
export type VoidSchema = StandardSchemaV1<void, void>;

/** The type that a sender sends (zod: `z.input`). */
export type Encoded<S extends Schema> = StandardSchemaV1.InferInput<S>;
/** The type that a handler receives (zod: `z.output`). */
export type Decoded<S extends Schema> = StandardSchemaV1.InferOutput<S>;
type Awaitable<T> = T | Promise<T>;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/**
 * The type of a result as the caller receives it: `any` becomes `unknown`, `undefined` becomes `null` as in JSON, and lists
 * become mutable, because the value is a fresh copy.
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

/**
 * An input schema whose values JSON can carry. Use it as the parameter type of functions that create tasks of any schema.
 * @example
 * function defineJob<S extends Schema>(name: string, input: InputSchema<S>) {
 *   return defineTask({ name, input });
 * }
 */
export type InputSchema<S extends Schema> = WireSafe<Encoded<S>, S, 'input'>;

/** An output schema whose values JSON can carry. */
export type OutputSchema<S extends Schema> = WireSafe<[S] extends [never] ? 0 : Decoded<S>, S, 'output'>;

/**
 * A call that is described but not sent. It is immutable, and `toJSON` returns it as plain data. It can be sent, or be a
 * step of a workflow.
 * @example
 * const thumbnail = resize.s({ width: 100 }); // `path` stays open
 * const result = await thumbnail.delay({ path: 'a.png' });
 */
export interface Signature<Name extends string, In, Out, Extras = {}> extends Step<Name, In, Out> {
  readonly '~extras': Extras;
  /**
   * Sends the call and returns a handle to its result.
   * @throws {ValidationError} if the complete input does not match the schema of its task.
   * @example
   * const result = await resize.delay({ path: 'a.png', width: 100 });
   * const { file } = await result.get({ timeout: '30s' });
   */
  delay(...input: DelayArgs<In>): Promise<AsyncResult<Out, Extras>>;
  /**
   * Sends the call with options, see `SendOptions`.
   * @throws {ValidationError} if the complete input does not match the schema of its task.
   * @throws {InvalidOptionError} if an option is invalid.
   * @throws {UnknownQueueError} if the queue does not exist in the app.
   * @throws {IdempotencyConflictError} if its key was already used with a different input.
   * @throws {ConnectionError} if the store cannot be reached for longer than `sendTimeout`.
   * @example
   * await resize.applyAsync({ path: 'a.png', width: 100 }, { countdown: '10m', priority: 5 });
   */
  applyAsync<Value extends In = In>(
    input: InputArg<In, Value>,
    options: SendOptions<Out> & { ignoreResult: true },
  ): Promise<AsyncResult<null, Extras>>;
  applyAsync<Value extends In = In>(
    input: InputArg<In, Value>,
    options?: SendOptions<Out>,
  ): Promise<AsyncResult<Out, Extras>>;
  /** Returns a copy with options, which take precedence over those of the task and of the workflow that contains it. */
  set(options: SignatureOptions): Signature<Name, In, Out, Extras>;
  /**
   * Returns a copy whose runs have this name: lists of runs show it and can be searched by it. A workflow without one is
   * named by its tasks. For a call, this is its `displayName`. Only the name of the workflow that is sent is used, not
   * those of its parts.
   * @throws {InvalidOptionError} if the name is empty or has more than 200 characters.
   */
  named(name: string): Signature<Name, In, Out, Extras>;
  /** Returns a copy with further tags. @throws {InvalidOptionError} beyond 20 tags, or 200 characters in a tag. */
  tag(...labels: string[]): Signature<Name, In, Out, Extras>;
  /**
   * Returns the chain of this step and `next`, which receives its result. In `a.pipe(b).pipe(c)` the compiler reports every
   * step that does not fit; in `chain(a, b, c)` only the first.
   * @throws {CanvasNotLoadedError} if `@umbel/canvas` is not imported.
   * @throws {CanvasError} if `next` is not a step.
   */
  pipe<Gives extends AnyResult>(
    next: NextStep<Result<Name, Out>, Gives>,
  ): Signature<'chain', In, OutputAfter<Out, Gives>>;
  /**
   * Returns a copy that sends the callback once with the result, after success. A callback is a separate call: if it fails,
   * the result does not change. Equal callbacks are kept once. `linkError` and `finally` follow the same rules.
   * @throws {InvalidOptionError} if the callback is not a signature.
   */
  link(callback: NextStep<Result<Name, Out>, AnyResult>): Signature<Name, In, Out, Extras>;
  /** Returns a copy that sends the callback once with a `FailureRecord`, after the final failure, but not if it was revoked. */
  linkError(
    callback: NextStep<Result<'failure', FailureRecord>, AnyResult>,
  ): Signature<Name, In, Out, Extras>;
  /**
   * Returns a copy that sends the callback once with a `StepOutcome`, after success and failure. A revoked call has an
   * error with the code `REVOKED`.
   */
  finally(
    callback: NextStep<Result<'outcome', StepOutcome<Out>>, AnyResult>,
  ): Signature<Name, In, Out, Extras>;
  /**
   * Returns the tasks that would run, their order and the number of jobs, without sending anything. Branches that depend on
   * a result are all shown, see `RunGraph`.
   * @throws {UnboundTaskError} if a task belongs to no app.
   */
  graph(): RunGraph;
  /** Returns the call as plain data. */
  toJSON(): Expression;
}

/**
 * A declared unit of work. It is also a signature without bound input.
 * @example
 * const resize = app.task({
 *   name: 'image.resize',
 *   input: z.object({ path: z.string(), width: z.number() }),
 *   run: async ({ path, width }) => ({ file: `${path}-${width}.png` }),
 * });
 * const result = await resize.delay({ path: 'a', width: 100 });
 */
export interface Task<Name extends string, In, Out, Extras = {}> extends Signature<Name, In, Out, Extras> {
  readonly name: Name;
  /** Sends the call with options, as `Signature.applyAsync` does. */
  applyAsync<Value extends In = In>(
    input: TaskInputArg<In, Value>,
    options: SendOptions<Out> & { ignoreResult: true },
  ): Promise<AsyncResult<null, Extras>>;
  applyAsync<Value extends In = In>(
    input: TaskInputArg<In, Value>,
    options?: SendOptions<Out>,
  ): Promise<AsyncResult<Out, Extras>>;
  /**
   * Sends many calls, 500 per round trip, and returns their handles in the same order.
   * @throws {ValidationError} for the first invalid input; then nothing is sent.
   * @example
   * const results = await resize.sendMany(paths.map((path) => ({ path, width: 100 })));
   */
  sendMany(inputs: Iterable<In>, options?: BulkOptions): Promise<AsyncResult<Out, Extras>[]>;
  /** Returns a signature without bound input. */
  s(): Signature<Name, In, Out, Extras>;
  /**
   * Binds some keys. The others stay open: they come from the previous result or from `delay`. Bound keys take precedence.
   * @throws {InvalidOptionError} if it is not an object.
   */
  s<const Part extends Bindable<In>>(
    bound: Part & Bound<Part, In>,
  ): Signature<Name, Open<In, Part>, Out, Extras>;
  /** Immutable: binds the whole input and ignores the result of the previous step. */
  si(...input: InputArgs<In>): Signature<Name, unknown, Out, WithoutStrict<Extras>>;
  /** Puts the whole result of the previous step into `key`. */
  into<Key extends KeysOf<In>>(
    key: Key,
    ...rest: {} extends RestOf<In, Key> ? [rest?: RestOf<In, Key>] : [rest: RestOf<In, Key>]
  ): Signature<Name, In extends unknown ? In[Key & keyof In] : never, Out, WithoutStrict<Extras>>;
}

/** A task, a signature or a workflow with any input and result. */
export type AnySignature = Step<string, never, unknown> & { readonly '~extras': object };

/** Any task, whatever its types. */
export type AnyTask = AnySignature & { readonly name: string };

/** A task's name, schemas and options without its handler, for senders to import. */
export interface Contract<Name extends string, In, Out, Extras = {}> extends Task<Name, In, Out, Extras> {
  readonly '~contract': true;
}

/** Any contract, whatever its types. */
export type AnyContract = AnyTask & { readonly '~contract': true };

/** The type of a contract's handler. `Added` is the type that middleware adds to its context. */
export type Handler<C, Added = {}> =
  C extends Contract<string, infer In, infer Out, infer Extras>
    ? Extras extends { coded: { in: infer Received; out: infer Returned } }
      ? (input: Received, ctx: TaskContext<Extras> & Added) => Awaitable<Returned>
      : (input: In, ctx: TaskContext<Extras> & Added) => Awaitable<Out>
    : never;

/** The conditional type selects the whole function type, because literals in a returned object then keep their types. */
type Run<In, Returned, OutputSchema extends Schema, Context> = [OutputSchema] extends [never]
  ? (input: In, ctx: Context) => WireSafe<Returned, Awaitable<Returned>, 'result'>
  : (input: In, ctx: Context) => Awaitable<Encoded<OutputSchema>>;

/** A contract carries handler types only if the decoded types differ from the sent types. */
export type ContractExtras<In extends Schema, Out extends Schema> = StrictOf<In> &
  ([Same<Encoded<In>, Decoded<In>>, Same<Encoded<Out>, Fresh<Decoded<Out>>>] extends [true, true]
    ? {}
    : Prettify<{ coded: { in: Decoded<In>; out: Encoded<Out> } }>);

/** The parameter of `defineTask`: a task definition without a handler. */
export interface ContractDefinition<
  Name extends string,
  In extends Schema,
  Out extends Schema,
  Progress extends Schema = never,
  States extends string = never,
  Failures extends FailureSchemas = {},
> extends TaskOptions<Encoded<In>> {
  /** Unique in the app: at most 100 letters, digits, `_`, `.` and `-`. */
  name: Name;
  /** Any Standard Schema, checked when a call is sent and again before the handler runs. Absent: the task takes no input. */
  input?: InputSchema<In>;
  /** Any Standard Schema, checked before a result is stored. Absent: the type is inferred from `run`, and not checked. */
  output?: OutputSchema<Out>;
  /** Any Standard Schema for the values of `ctx.progress`. Absent: any value that JSON carries. */
  progress?: Progress;
  /** Custom states that the handler can show with `ctx.setState`. */
  states?: readonly States[];
  /** Failures that callers distinguish, each with the schema of its data, for `ctx.fail` and `result.outcome()`. */
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
  /** The handler: a function of the input and the context that returns the result. */
  run: Run<Decoded<In>, Returned, Out, TaskContext<ReportsOf<Progress, States, Failures>> & Added>;
  /** Functions that observe the attempts of this task. */
  hooks?: Hooks<TaskContext<ReportsOf<Progress, States, Failures>>, Added> | undefined;
  /**
   * The module that defines this task (`import.meta.url`), for work that blocks the event loop. The handler then runs in a
   * child process, which loads that module and is killed at the task's `timeout` or when the job is aborted.
   */
  isolate?: string | URL | undefined;
}

/** The extras of a task, whose result type may come from its handler. */
export type TaskExtras<In extends Schema, Out extends Schema, Returned> = [Out] extends [never]
  ? StrictOf<In> &
      (Same<Encoded<In>, Decoded<In>> extends true ? {} : { coded: { in: Decoded<In>; out: Returned } })
  : ContractExtras<In, Out>;

/** The decoded input that the handler of a task receives. */
export type ReceivedBy<Task> = Task extends { readonly '~extras': { coded: { in: infer Received } } }
  ? Received
  : InputOf<Task>;

/** The type that the handler of a task returns, before it is encoded. */
export type ReturnedBy<Task> = Task extends { readonly '~extras': { coded: { out: infer Returned } } }
  ? Returned
  : OutputOf<Task>;

/** The result type of a task: from its output schema, otherwise from its handler. */
export type TaskResult<Out extends Schema, Returned> = [Out] extends [never]
  ? Fresh<Returned>
  : Fresh<Decoded<Out>>;

/** The extras of an input schema whose type shows that it refuses other keys: of the libraries, only valibot's does. */
type StrictOf<In> = In extends { readonly type: 'strict_object'; readonly entries: infer Entries }
  ? { strict: OnlyKeys<keyof Entries> }
  : {};

/** The extras of a signature that does not take the keys of the previous result. */
type WithoutStrict<Extras> = Extras extends { strict: unknown } ? Prettify<Omit<Extras, 'strict'>> : Extras;

// Declarations beside input and output. They are kept in the phantom property `~extras` of a task's type.

/**
 * The progress, states and failures of a task. It is not an interface, because the declaration files of packages that
 * export a task could not name it.
 */
type Reports<Progress, States extends string, Failures> = {
  readonly progress: Progress;
  readonly states: States;
  readonly failures: Failures;
};

type AnySchema = StandardSchemaV1;

/** The declared failures, each with the schema of its data. */
export type FailureSchemas = Readonly<Record<string, AnySchema>>;

type DataOf<Failures extends FailureSchemas> = {
  [Failure in keyof Failures]: StandardSchemaV1.InferInput<Failures[Failure]>;
};

/** The extras for the progress, states and failures of a task; empty if it declares none of them. */
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
