/**
 * Runs the job of a task: input validation, hooks, middleware, handler, result validation. The executor calls it.
 * A handler may run in this process or in a child process (`isolate/`).
 */
import { InvalidOptionError, JobStateError, ValidationError } from '../base/errors.js';
import {
  ExpectedFailureError,
  ExpiredError,
  RevokedError,
  SkippedError,
  UpstreamFailedError,
} from '../base/failures.js';
import { toError } from '../codec/error-record.js';
import { jsonIssues } from '../codec/json.js';
import { maskFor } from '../codec/masking.js';
import { validate, validateInput } from '../codec/schema.js';
import { validateFed } from '../codec/strict-input.js';
import type { Envelope } from '../job/envelope.js';
import { chainOf, pathOf } from '../job/ids.js';
import type { ActiveJob } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, openTree, sealTree } from '../job/job-tree.js';
import { HANDLER_FRAME, handlerBegins, handlerEnded } from '../task/context.js';
import type { TaskEntry } from '../task/definition.js';
import { type AnyMiddleware, type Hooks, throughMiddleware } from '../task/middleware.js';
import { decideReplacement } from '../workflow/expand.js';
import { Attempt, type AttemptDependencies } from './attempt.js';
import { EndChain, ReplaceRequest, StopRequest, WaitForChildren } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';
import { addMembers, JobFlowChanges } from './flow-changes.js';
import type { InternalJobs } from './internal-jobs.js';
import { runIsolated } from './isolate/run.js';
import { readableEnvelope } from './poison.js';
import { type Tracing, tracedAttempt, tracingOf } from './tracing.js';

type Handler = NonNullable<TaskEntry['run']>;
type HandledTask = TaskEntry & { readonly run: Handler };
/** Holds the attempt once it has begun: set before any code of the user runs. */
export interface BegunAttempt {
  attempt: Attempt | undefined;
}
/** Stores that the handler is called next. */
export type Reached = () => Promise<void>;

export class HandlerRunner {
  readonly #dependencies: ExecutorDependencies;
  readonly #attemptDependencies: AttemptDependencies<JobFlowChanges>;
  readonly #internalJobs: InternalJobs;
  readonly #layers: readonly AnyMiddleware[];
  readonly #tracing: Tracing | undefined;
  /** The tasks with the handlers that the observer of a test has set for them. */
  readonly #replacedHandlers = new WeakMap<TaskEntry, HandledTask>();
  readonly #onThrown = (attempt: Attempt, thrown: unknown) => this.#outcomeOfThrown(attempt, thrown);

  constructor(dependencies: ExecutorDependencies, internalJobs: InternalJobs) {
    this.#dependencies = dependencies;
    this.#internalJobs = internalJobs;
    this.#layers = dependencies.middleware.filter((layer) => layer.run !== undefined);
    this.#tracing = tracingOf(dependencies.middleware);
    const { sealer, runtime, maxResultBytes: maxBytes, onError } = dependencies;
    const changes = ({ job, envelope, trace }: Attempt) =>
      new JobFlowChanges(dependencies, job, envelope, trace);
    const { activity } = dependencies;
    const onLog = activity?.logged.bind(activity);
    this.#attemptDependencies = { clock: runtime.clock, sealer, maxBytes, onError, onLog, changes };
  }

  /**
   * Returns the checked result of the handler. Sets the attempt in `begun` before any code of the user runs, and
   * awaits `reached`, if present, before it calls the handler.
   */
  handle(job: ActiveJob, envelope: Envelope, begun: BegunAttempt, reached?: Reached): Promise<unknown> {
    const { replacement, items } = envelope;
    if (replacement === undefined) refuseLate(job, envelope, this.#dependencies.runtime.clock.now());
    const task = this.#taskOf(job.name);
    if (replacement !== undefined) {
      const attempt = this.#attempt(job, envelope, task);
      begun.attempt = attempt;
      return this.#valueOfReplacement(job, envelope, replacement).then((value) => {
        const checked = this.#checkedResult(task, value);
        if (!(checked instanceof Promise)) return checked;
        attempt.limit(limitOf(attempt, task));
        return attempt.outcomeOf(checked);
      });
    }
    if (items !== undefined) return this.#handleList(job, envelope, task, begun, reached);
    const input = this.#internalJobs.inputOf(job, envelope);
    return input instanceof Promise
      ? input.then((whole: unknown) => this.#handleOne(job, envelope, task, whole, begun, reached))
      : this.#handleOne(job, envelope, task, input, begun, reached);
  }

  /** Runs a job whose input is complete. */
  #handleOne(
    job: ActiveJob,
    envelope: Envelope,
    task: HandledTask,
    input: unknown,
    begun: BegunAttempt,
    reached: Reached | undefined,
  ): Promise<unknown> {
    const attempt = this.#attempt(job, envelope, task);
    if (this.#tracing === undefined) return this.#checkAndRun(attempt, task, input, begun, reached);
    return this.#tracing.around(tracedAttempt(this.#dependencies, attempt), async () =>
      this.#checkAndRun(attempt, task, input, begun, reached),
    );
  }

  /** Validates the input of a job and runs it. */
  #checkAndRun(
    attempt: Attempt,
    task: HandledTask,
    input: unknown,
    begun: BegunAttempt,
    reached: Reached | undefined,
  ): Promise<unknown> {
    const keys = this.#dependencies.checks.sensitiveOf(task);
    const limitMs = limitOf(attempt, task);
    attempt.limit(limitMs);
    const check = attempt.envelope.after === undefined ? validateInput : validateFed;
    let checked: unknown;
    try {
      checked = task.input && check(task.input, input, task.name, keys);
    } catch (error) {
      attempt.endLimit();
      throw error;
    }
    if (!(checked instanceof Promise))
      return this.#runOnceReached(attempt, task, keys, input, checked, begun, reached);
    const ran = checked.then((decoded: unknown) =>
      // The outcome of an aborted attempt is decided already, so its handler must not start.
      attempt.isGivenUp
        ? undefined
        : this.#runOnceReached(attempt, task, keys, input, decoded, begun, reached),
    );
    return limitMs === undefined ? ran : attempt.outcomeOf(ran);
  }

  #runOnceReached(
    attempt: Attempt,
    task: HandledTask,
    keys: ReadonlySet<string>,
    input: unknown,
    decoded: unknown,
    begun: BegunAttempt,
    reached: Reached | undefined,
  ): Promise<unknown> {
    if (reached === undefined) return this.#run(attempt, task, keys, input, decoded, begun);
    return reached().then(
      () => this.#run(attempt, task, keys, input, decoded, begun),
      (error: unknown) => {
        attempt.endLimit();
        throw error;
      },
    );
  }

  /** Runs a job whose input is validated. */
  #run(
    attempt: Attempt,
    task: HandledTask,
    keys: ReadonlySet<string>,
    input: unknown,
    decoded: unknown,
    begun: BegunAttempt,
  ): Promise<unknown> {
    if (keys.size > 0) attempt.reports.mask = maskFor(keys, [input, decoded]);
    attempt.received = { input, decoded };
    begun.attempt = attempt;
    const handler = this.#handlerOf(task, attempt, input);
    return attempt.outcomeOf(this[HANDLER_FRAME](attempt, task, handler, decoded), this.#onThrown);
  }

  /** Handles what a handler threw: a declared failure, a request to stop or to replace, or an error. */
  async #outcomeOfThrown(attempt: Attempt, thrown: unknown): Promise<unknown> {
    const { job, envelope, task } = attempt;
    if (thrown instanceof ExpectedFailureError)
      throw await checkedFailure(task, thrown, this.#dependencies.maxResultBytes);
    if (thrown instanceof StopRequest) return this.#endChain(job, envelope, task, thrown.value);
    attempt.endLimit(); // adding jobs is not the handler's work, and must not be aborted halfway
    if (thrown instanceof ReplaceRequest)
      return this.#replace(
        job,
        envelope,
        task,
        await this.#attemptDependencies.changes(attempt).replacement(thrown),
      );
    throw thrown;
  }

  #traced(attempt: Attempt, run: () => Promise<unknown>): Promise<unknown> {
    if (this.#tracing === undefined) return run();
    return this.#tracing.around(tracedAttempt(this.#dependencies, attempt), async () => run());
  }

  /** Returns the checked result of the handler. Its name in the stack identifies calls made inside a handler. */
  async [HANDLER_FRAME](
    attempt: Attempt,
    task: TaskEntry,
    handler: Handler,
    input: unknown,
  ): Promise<unknown> {
    handlerBegins();
    let result: unknown;
    try {
      result = await this.#throughMiddleware(attempt, handler, input);
    } finally {
      handlerEnded();
    }
    return this.#checkedResult(task, result);
  }

  #attempt(job: ActiveJob, envelope: Envelope, task: TaskEntry): Attempt {
    return new Attempt(job, envelope, task, this.#attemptDependencies);
  }

  /** Returns the results of a job of `chunks()`. */
  async #handleList(
    job: ActiveJob,
    envelope: Envelope,
    task: HandledTask,
    begun: BegunAttempt,
    reached: Reached | undefined,
  ): Promise<unknown> {
    const items = await this.#internalJobs.itemsOf(job, envelope);
    await reached?.();
    const attempt = this.#attempt(job, envelope, task);
    begun.attempt = attempt;
    return this.#traced(attempt, () => {
      attempt.limit(limitOf(attempt, task));
      return attempt.outcomeOf(this.#handleItems(attempt, task, items, envelope.offset ?? 0));
    });
  }

  /** Runs the handler for each input, one after the other. */
  async #handleItems(
    attempt: Attempt,
    task: HandledTask,
    items: readonly unknown[],
    offset: number,
  ): Promise<unknown[]> {
    const keys = this.#dependencies.checks.sensitiveOf(task);
    const results: unknown[] = [];
    for (const [index, input] of items.entries()) {
      if (attempt.isGivenUp) break;
      attempt.item = offset + index;
      try {
        const decoded =
          task.input === undefined ? undefined : await validateInput(task.input, input, task.name, keys);
        if (keys.size > 0) attempt.reports.mask = maskFor(keys, [items, decoded]);
        const handler = this.#handlerOf(task, attempt, input);
        results.push(await this[HANDLER_FRAME](attempt, task, handler, decoded));
      } catch (thrown) {
        if (thrown instanceof ExpectedFailureError)
          throw await checkedFailure(task, thrown, this.#dependencies.maxResultBytes);
        if (!(thrown instanceof StopRequest || thrown instanceof ReplaceRequest)) throw thrown;
        throw new JobStateError(
          'ctx.stop and ctx.replace are not available in a job of chunks(), which runs its task several times.',
        );
      }
    }
    return results;
  }

  /** Ends the chain of a step with this value; for a job outside a chain, returns the value as its result. */
  #endChain(job: ActiveJob, { run }: Envelope, task: TaskEntry, value: unknown): unknown {
    const chain = run === undefined ? undefined : chainOf(pathOf(run, job.id));
    if (chain === undefined) return this.#checkedResult(task, value);
    const issues = jsonIssues(value, 'result', this.#dependencies.maxResultBytes);
    if (issues.length > 0) throw new ValidationError(task.name, 'result', issues);
    throw new EndChain(chain, value);
  }

  /** Adds the replacement below this job, which then waits for it. It is stored first, so the handler never runs again. */
  async #replace(job: ActiveJob, envelope: Envelope, task: TaskEntry, node: JobNode): Promise<unknown> {
    const { run = job.id } = envelope;
    const replacement = await sealTree(this.#dependencies.sealer, run, node);
    await job.save({ replacement });
    return this.#checkedResult(
      task,
      await this.#valueOfReplacement(job, { ...envelope, replacement }, replacement),
    );
  }

  /** Returns the value of a replacement, or adds it and waits. */
  async #valueOfReplacement(job: ActiveJob, envelope: Envelope, replacement: JobNode): Promise<unknown> {
    const { run = job.id } = envelope;
    const after = { step: replacement.path };
    const id = jobIdOf(run, replacement.path);
    const hasEnded =
      (await job.childResults()).has(id) || (await job.failedChildren()).some((child) => child.id === id);
    const decision = decideReplacement({ hasEnded, wasAdded: envelope.replaced === true });
    if (decision === 'take') return this.#internalJobs.replacementOf(job, { ...envelope, run, after });
    if (decision === 'add') await this.#addReplacement(job, run, replacement);
    else await this.#internalJobs.relinkReplacement(job, envelope, { queue: replacement.queue, id });
    throw new WaitForChildren();
  }

  /** Adds the replacement and stores that it did: a replacement that disappears later is not added again. */
  async #addReplacement(job: ActiveJob, run: string, replacement: JobNode): Promise<void> {
    const parent = { path: pathOf(run, job.id), queue: job.queue };
    const member = await openTree(this.#dependencies.sealer, run, replacement);
    await addMembers(this.#dependencies, job, { run, parent, members: [member] }, { isRepeated: true });
    await job.save({ replaced: true });
  }

  /** Calls a hook of the app, then of the task. Errors of hooks are logged and change nothing. */
  async hook(attempt: Attempt, call: (hooks: Hooks) => unknown): Promise<void> {
    const { task } = attempt;
    for (const hooks of [this.#dependencies.hooks, task.hooks]) {
      if (hooks === undefined) continue;
      try {
        await call(hooks);
      } catch (error) {
        this.#dependencies.onError(
          new Error(attempt.mask.text(`a hook of task "${task.name}" threw: ${toError(error).message}`)),
        );
      }
    }
  }

  /** Calls the hooks of a failed attempt; `isFinal` if no retry follows. */
  async failed(attempt: Attempt, error: Error, isFinal: boolean): Promise<void> {
    const { context } = attempt;
    await this.hook(attempt, (hooks) =>
      isFinal ? hooks.failure?.(context, error) : hooks.retry?.(context, error),
    );
    await this.hook(attempt, (hooks) => hooks.always?.(context));
    await attempt.endReports();
  }

  /**
   * Returns an attempt for the hooks of a job that failed before its handler was called. Undefined if no hook applies: an
   * earlier step failed, whose hooks were called, or the job was skipped.
   */
  unstarted(job: ActiveJob, envelope: Envelope | undefined, error: Error): Attempt | undefined {
    if (error instanceof UpstreamFailedError || error instanceof SkippedError) return undefined;
    // A fan-out found an input that is invalid for the task of a member, which is not added then.
    const isMember = job.queue === INTERNAL_QUEUE && error instanceof ValidationError;
    const name = isMember ? error.task : job.name;
    const task = this.#dependencies.registry.get(name) ?? { name, options: {} };
    if (!this.hasHooks(task)) return undefined;
    const known = envelope ?? readableEnvelope(job.data);
    const attempt = this.#attempt(job, known, task);
    if (isMember) attempt.add({ name });
    const keys = this.#dependencies.checks.sensitiveOf(task);
    if (keys.size > 0) attempt.reports.mask = maskFor(keys, [known.input]);
    return attempt;
  }

  /** Whether the app or the task has hooks. */
  hasHooks(task: TaskEntry): boolean {
    return this.#dependencies.hooks !== undefined || task.hooks !== undefined;
  }

  /** Returns the innermost function: the `before` hooks, then the handler, here or in a child process. */
  #handlerOf(task: HandledTask, attempt: Attempt, input: unknown): Handler {
    const { app, children, runtime } = this.#dependencies;
    const { isolate } = task;
    const isIsolated = isolate !== undefined && children !== undefined && runtime.observer === undefined;
    const run: Handler = isIsolated
      ? () => runIsolated(children, { app, task: { ...task, isolate }, attempt, input })
      : task.run;
    if (!this.hasHooks(task)) return run;
    return async (decoded, context) => {
      await this.hook(attempt, (hooks) => hooks.before?.(context, decoded));
      return run(decoded, context);
    };
  }

  #throughMiddleware(attempt: Attempt, handler: Handler, input: unknown): unknown {
    const { context } = attempt;
    if (this.#layers.length === 0) return handler(input, context);
    const runLayer = (layer: AnyMiddleware, next: () => Promise<unknown>): Promise<unknown> => {
      const nextWith = (...[added]: unknown[]) => {
        attempt.add(added);
        return next();
      };
      return Promise.resolve(layer.run?.(context, nextWith, input));
    };
    // The middleware sees the abort also if the handler ignores the signal.
    const runHandler = () => attempt.untilGivenUp(async () => handler(input, context));
    return throughMiddleware<Promise<unknown>>(this.#layers, runLayer, runHandler);
  }

  /** Returns the result; a promise if its schema is asynchronous. @throws {ValidationError} or rejects with it. */
  #checkedResult(task: TaskEntry, result: unknown): unknown {
    const { output, name } = task;
    const checked = output === undefined ? result : validate(output, result, name, 'result');
    return output !== undefined && checked instanceof Promise
      ? checked.then((decoded: unknown) => this.#asJson(name, decoded))
      : this.#asJson(name, checked);
  }

  #asJson(task: string, result: unknown): unknown {
    const issues = jsonIssues(result, 'result', this.#dependencies.maxResultBytes);
    if (issues.length > 0) throw new ValidationError(task, 'result', issues);
    return result;
  }

  #taskOf(name: string): HandledTask {
    const { registry, runtime } = this.#dependencies;
    if (runtime.observer === undefined) return registry.handled(name);
    const entry = registry.get(name);
    const run = entry && runtime.observer.handlerOf(entry);
    if (entry === undefined || run === undefined) return registry.handled(name);
    const known = this.#replacedHandlers.get(entry);
    if (known?.run === run) return known;
    const task = { ...entry, run };
    this.#replacedHandlers.set(entry, task);
    return task;
  }
}

/** Returns the timeout of an attempt in milliseconds. */
function limitOf({ envelope }: Attempt, { options }: TaskEntry): number | undefined {
  return envelope.timeout ?? options.timeoutMs;
}

/** @throws {RevokedError} or {@link ExpiredError} if the job must not start. */
function refuseLate(job: ActiveJob, { revoked, skipped, expires }: Envelope, now: number): void {
  if (revoked !== undefined) {
    if (skipped)
      throw new SkippedError(`Task "${job.name}" was skipped: its group has an outcome without it.`);
    throw new RevokedError(`Task "${job.name}" was revoked before it started.`);
  }
  if (expires !== undefined && job.starts <= 1 && now >= expires) {
    const at = new Date(expires).toISOString();
    throw new ExpiredError(`Task "${job.name}" was not started before it expired, at ${at}.`);
  }
}

/** Returns the failure with validated data, or the error that explains why the task cannot fail with it. */
async function checkedFailure(
  task: TaskEntry,
  { failure, data }: ExpectedFailureError,
  maxBytes: number,
): Promise<Error> {
  const { failures = {} } = task;
  const schema = Object.hasOwn(failures, failure) ? failures[failure] : undefined;
  if (schema === undefined) {
    const known = Object.keys(failures).join(', ') || 'none';
    return new InvalidOptionError('failure', `one that task "${task.name}" declares (${known})`, failure);
  }
  const checked = await validate(schema, data, task.name, 'failure');
  const issues = jsonIssues(checked, 'failure', maxBytes);
  return issues.length > 0
    ? new ValidationError(task.name, 'failure', issues)
    : new ExpectedFailureError(failure, checked);
}
