/** The way of a task's job through validation, hooks and middleware to its handler and back. */
import {
  ExpectedFailureError,
  ExpiredError,
  InvalidOptionError,
  JobStateError,
  RevokedError,
  SkippedError,
  UpstreamFailedError,
  ValidationError,
} from '../base/errors.js';
import { toError } from '../codec/error-record.js';
import { jsonIssues } from '../codec/json.js';
import { maskFor } from '../codec/masking.js';
import { validate, validateFed, validateInput } from '../codec/schema.js';
import type { Envelope } from '../job/envelope.js';
import { chainOf, pathOf } from '../job/ids.js';
import type { ActiveJob } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, openTree, sealTree } from '../job/job-tree.js';
import { HANDLER_FRAME, handlerBegins, handlerEnded } from '../task/context.js';
import type { TaskEntry } from '../task/definition.js';
import type { AnyMiddleware, Hooks } from '../task/middleware.js';
import { decideReplacement } from '../workflow/expand.js';
import { Attempt, type AttemptParts } from './attempt.js';
import { addMembers, JobFlowChanges } from './flow-changes.js';
import type { InternalJobs } from './internal-jobs.js';
import { runIsolated } from './isolate/run.js';
import type { ExecutorParts } from './parts.js';
import { readableEnvelope } from './poison.js';
import { EndChain, ReplaceRequest, StopRequest, WaitForChildren } from './signals.js';
import { type Tracing, tracedAttempt, tracingOf } from './tracing.js';

type Handler = NonNullable<TaskEntry['run']>;
type HandledTask = TaskEntry & { readonly run: Handler };
type Begun = (attempt: Attempt) => void;
/** Notes that the handler is called next. */
export type Reached = () => Promise<void>;

export class HandlerRunner {
  readonly #parts: ExecutorParts;
  readonly #ofAttempts: AttemptParts<JobFlowChanges>;
  readonly #steps: InternalJobs;
  readonly #layers: readonly AnyMiddleware[];
  readonly #tracing: Tracing | undefined;

  constructor(parts: ExecutorParts, steps: InternalJobs) {
    this.#parts = parts;
    this.#steps = steps;
    this.#layers = parts.middleware.filter((layer) => layer.run !== undefined);
    this.#tracing = tracingOf(parts.middleware);
    const { sealer, runtime, maxResultBytes: maxBytes, onError } = parts;
    const changes = ({ job, envelope, trace }: Attempt) => new JobFlowChanges(parts, job, envelope, trace);
    const { activity } = parts;
    const onLog = activity?.logged.bind(activity);
    this.#ofAttempts = { clock: runtime.clock, sealer, maxBytes, onError, onLog, changes };
  }

  /**
   * The handler's result, checked; `begun` is told of the attempt before anything of the user's runs. Waits for `reached`,
   * if it is there, before it calls the handler.
   */
  handle(job: ActiveJob, envelope: Envelope, begun: Begun, reached?: Reached): Promise<unknown> {
    const { replacement, items } = envelope;
    if (replacement === undefined) refuseLate(job, envelope, this.#parts.runtime.clock.now());
    const task = this.#taskOf(job.name);
    if (replacement !== undefined) {
      const attempt = this.#attempt(job, envelope, task);
      begun(attempt);
      return this.#replaced(job, envelope, replacement).then((value) => {
        const checked = this.#checkedResult(task, value);
        if (!(checked instanceof Promise)) return checked;
        attempt.limit(limitOf(attempt, task));
        return attempt.outcomeOf(checked);
      });
    }
    if (items !== undefined) return this.#handleList(job, envelope, task, begun, reached);
    const input = this.#steps.inputOf(job, envelope);
    return input instanceof Promise
      ? input.then((whole: unknown) => this.#handleOne(job, envelope, task, whole, begun, reached))
      : this.#handleOne(job, envelope, task, input, begun, reached);
  }

  /** Its input is whole. */
  #handleOne(
    job: ActiveJob,
    envelope: Envelope,
    task: HandledTask,
    input: unknown,
    begun: Begun,
    reached: Reached | undefined,
  ): Promise<unknown> {
    const attempt = this.#attempt(job, envelope, task);
    return this.#traced(attempt, () => {
      const keys = this.#parts.checks.sensitiveOf(task);
      const limitMs = limitOf(attempt, task);
      attempt.limit(limitMs);
      const check = envelope.after === undefined ? validateInput : validateFed;
      let checked: unknown;
      try {
        checked = task.input && check(task.input, input, task.name, keys);
      } catch (error) {
        attempt.endLimit();
        throw error;
      }
      const run = (decoded: unknown) => {
        const start = () => this.#run(attempt, task, keys, input, decoded, begun);
        if (reached === undefined) return start();
        return reached().then(start, (error: unknown) => {
          attempt.endLimit();
          throw error;
        });
      };
      if (!(checked instanceof Promise)) return run(checked);
      const ran = checked.then((decoded: unknown) =>
        // Nobody waits for the handler of an attempt that was given up.
        attempt.isGivenUp ? undefined : run(decoded),
      );
      return limitMs === undefined ? ran : attempt.outcomeOf(ran);
    });
  }

  /** Its input has been validated. */
  #run(
    attempt: Attempt,
    task: HandledTask,
    keys: ReadonlySet<string>,
    input: unknown,
    decoded: unknown,
    begun: Begun,
  ): Promise<unknown> {
    if (keys.size > 0) attempt.reports.mask = maskFor(keys, [input, decoded]);
    begun(attempt);
    const handler = this.#handlerOf(task, attempt, input);
    return attempt.outcomeOf(this[HANDLER_FRAME](attempt, task, handler, decoded), (thrown) =>
      this.#answered(attempt, task, thrown),
    );
  }

  /** What comes of an attempt whose handler has thrown: what it has asked for by that, or the error. */
  async #answered(attempt: Attempt, task: HandledTask, thrown: unknown): Promise<unknown> {
    const { job, envelope } = attempt;
    if (thrown instanceof ExpectedFailureError)
      throw await checkedFailure(task, thrown, this.#parts.maxResultBytes);
    if (thrown instanceof StopRequest) return this.#stopped(job, envelope, task, thrown.value);
    attempt.endLimit(); // what is added to the store is not the handler's work, and not to be left half done
    if (thrown instanceof ReplaceRequest)
      return this.#replace(job, envelope, task, await this.#ofAttempts.changes(attempt).replacement(thrown));
    throw thrown;
  }

  #traced(attempt: Attempt, run: () => Promise<unknown>): Promise<unknown> {
    if (this.#tracing === undefined) return run();
    return this.#tracing.around(tracedAttempt(this.#parts, attempt), async () => run());
  }

  /** What the handler gives, checked. In its stack, its calls can be told from others. */
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
    return new Attempt(job, envelope, task, this.#ofAttempts);
  }

  /** The results for several inputs. */
  async #handleList(
    job: ActiveJob,
    envelope: Envelope,
    task: HandledTask,
    begun: Begun,
    reached: Reached | undefined,
  ): Promise<unknown> {
    const items = await this.#steps.itemsOf(job, envelope);
    await reached?.();
    const attempt = this.#attempt(job, envelope, task);
    begun(attempt);
    return this.#traced(attempt, () => {
      attempt.limit(limitOf(attempt, task));
      return attempt.outcomeOf(this.#handleItems(attempt, task, items, envelope.offset ?? 0));
    });
  }

  /** The results for several inputs, one after the other. */
  async #handleItems(
    attempt: Attempt,
    task: HandledTask,
    items: readonly unknown[],
    offset: number,
  ): Promise<unknown[]> {
    const keys = this.#parts.checks.sensitiveOf(task);
    const results: unknown[] = [];
    for (const [place, input] of items.entries()) {
      if (attempt.isGivenUp) break;
      attempt.item = offset + place;
      try {
        const decoded =
          task.input === undefined ? undefined : await validateInput(task.input, input, task.name, keys);
        if (keys.size > 0) attempt.reports.mask = maskFor(keys, [items, decoded]);
        const handler = this.#handlerOf(task, attempt, input);
        results.push(await this[HANDLER_FRAME](attempt, task, handler, decoded));
      } catch (thrown) {
        if (thrown instanceof ExpectedFailureError)
          throw await checkedFailure(task, thrown, this.#parts.maxResultBytes);
        if (!(thrown instanceof StopRequest || thrown instanceof ReplaceRequest)) throw thrown;
        throw new JobStateError(
          'A job of chunks() runs its task several times: ctx.stop and ctx.replace cannot be meant for one.',
        );
      }
    }
    return results;
  }

  /** The end of a chain by one of its steps; of a job that none follows, its result. */
  #stopped(job: ActiveJob, { run }: Envelope, task: TaskEntry, value: unknown): unknown {
    const chain = run === undefined ? undefined : chainOf(pathOf(run, job.id));
    if (chain === undefined) return this.#checkedResult(task, value);
    const issues = jsonIssues(value, 'result', this.#parts.maxResultBytes);
    if (issues.length > 0) throw new ValidationError(task.name, 'result', issues);
    throw new EndChain(chain, value);
  }

  /** Puts jobs below this one, which then waits for them. What they are is stored first: the handler never runs again. */
  async #replace(job: ActiveJob, envelope: Envelope, task: TaskEntry, node: JobNode): Promise<unknown> {
    const { run = job.id } = envelope;
    const replacement = await sealTree(this.#parts.sealer, run, node);
    await job.save({ replacement });
    return this.#checkedResult(task, await this.#replaced(job, { ...envelope, replacement }, replacement));
  }

  /** The value of what stands in the place of a job. */
  async #replaced(job: ActiveJob, envelope: Envelope, replacement: JobNode): Promise<unknown> {
    const { run = job.id } = envelope;
    const after = { step: replacement.path };
    const id = jobIdOf(run, replacement.path);
    const hasEnded =
      (await job.childResults()).has(id) || (await job.failedChildren()).some((child) => child.id === id);
    const decision = decideReplacement({ hasEnded, wasAdded: envelope.replaced === true });
    if (decision === 'take') return this.#steps.replacementOf(job, { ...envelope, run, after });
    if (decision === 'add') await this.#addReplacement(job, run, replacement);
    else await this.#steps.relinkReplacement(job, envelope, { queue: replacement.queue, id });
    throw new WaitForChildren();
  }

  /** Adds what is to stand in the job's place, and notes that: what is gone afterwards is not added again. */
  async #addReplacement(job: ActiveJob, run: string, replacement: JobNode): Promise<void> {
    const parent = { path: pathOf(run, job.id), queue: job.queue };
    const member = await openTree(this.#parts.sealer, run, replacement);
    await addMembers(this.#parts, job, { run, parent, members: [member] }, { isRepeated: true });
    await job.save({ replaced: true });
  }

  /** Calls a hook of the app, then of the task. What it throws is told and changes nothing. */
  async hook({ task, reports }: Attempt, call: (hooks: Hooks) => unknown): Promise<void> {
    for (const hooks of [this.#parts.hooks, task.hooks]) {
      if (hooks === undefined) continue;
      try {
        await call(hooks);
      } catch (error) {
        this.#parts.onError(
          new Error(reports.mask.text(`a hook of task "${task.name}" threw: ${toError(error).message}`)),
        );
      }
    }
  }

  /** Calls the hooks of an attempt that has failed: `isFinal` if no other one follows. */
  async failed(attempt: Attempt, error: Error, isFinal: boolean): Promise<void> {
    const { context, reports } = attempt;
    await this.hook(attempt, (hooks) =>
      isFinal ? hooks.failure?.(context, error) : hooks.retry?.(context, error),
    );
    await this.hook(attempt, (hooks) => hooks.always?.(context));
    await reports.end();
  }

  /**
   * An attempt, for its hooks, of a job that failed before its handler was called; undefined if no hook is to hear of it:
   * the failure is that of an earlier step, whose own hooks were called, or the job was not needed any more.
   */
  unstarted(job: ActiveJob, envelope: Envelope | undefined, error: Error): Attempt | undefined {
    if (error instanceof UpstreamFailedError || error instanceof SkippedError) return undefined;
    // A fan-out finds that an input does not fit the task of a member, which then is not added.
    const isMember = job.queue === INTERNAL_QUEUE && error instanceof ValidationError;
    const name = isMember ? error.task : job.name;
    const task = this.#parts.registry.get(name) ?? { name, options: {} };
    if (!this.hasHooks(task)) return undefined;
    const known = envelope ?? readableEnvelope(job.data);
    const attempt = this.#attempt(job, known, task);
    if (isMember) attempt.add({ name });
    const keys = this.#parts.checks.sensitiveOf(task);
    if (keys.size > 0) attempt.reports.mask = maskFor(keys, [known.input]);
    return attempt;
  }

  /** Whether any hook is to be called for a task. */
  hasHooks(task: TaskEntry): boolean {
    return this.#parts.hooks !== undefined || task.hooks !== undefined;
  }

  /** What runs innermost: the hooks before the handler, and the handler, here or in a child process. */
  #handlerOf(task: HandledTask, attempt: Attempt, input: unknown): Handler {
    const { app, children, runtime } = this.#parts;
    const { isolate } = task;
    const isApart = isolate !== undefined && children !== undefined && runtime.observer === undefined;
    const run: Handler = isApart
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
    const from = (index: number): Promise<unknown> => {
      const layer = this.#layers[index];
      // A layer sees when the attempt is given up, whatever the handler does.
      if (layer === undefined) return attempt.untilGivenUp(async () => handler(input, context));
      const next = (...[added]: unknown[]) => {
        attempt.add(added);
        return from(index + 1);
      };
      return Promise.resolve(layer.run?.(context, next, input));
    };
    return from(0);
  }

  /** The result, or a promise of it if its schema gives one. @throws {ValidationError} or rejects with it. */
  #checkedResult(task: TaskEntry, result: unknown): unknown {
    const { output, name } = task;
    const checked = output === undefined ? result : validate(output, result, name, 'result');
    return output !== undefined && checked instanceof Promise
      ? checked.then((decoded: unknown) => this.#asJson(name, decoded))
      : this.#asJson(name, checked);
  }

  #asJson(task: string, result: unknown): unknown {
    const issues = jsonIssues(result, 'result', this.#parts.maxResultBytes);
    if (issues.length > 0) throw new ValidationError(task, 'result', issues);
    return result;
  }

  #taskOf(name: string): HandledTask {
    const { registry, runtime } = this.#parts;
    const entry = registry.get(name);
    const run = entry && runtime.observer?.handlerOf(entry);
    return entry && run ? { ...entry, run } : registry.handled(name);
  }
}

/** How long an attempt may take, in milliseconds. */
function limitOf({ envelope }: Attempt, { options }: TaskEntry): number | undefined {
  return envelope.timeout ?? options.timeoutMs;
}

/** @throws {RevokedError} or {@link ExpiredError} if the job is not to start any more. */
function refuseLate(job: ActiveJob, { revoked, skipped, expires }: Envelope, now: number): void {
  if (revoked !== undefined) {
    if (skipped)
      throw new SkippedError(`Task "${job.name}" was skipped: its group has its outcome without it.`);
    throw new RevokedError(`Task "${job.name}" was revoked before it started.`);
  }
  if (expires !== undefined && job.starts <= 1 && now >= expires) {
    const at = new Date(expires).toISOString();
    throw new ExpiredError(`Task "${job.name}" was not started before it expired, at ${at}.`);
  }
}

/** The failure with its data as the task declares it, or why it cannot be that. */
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
