import type { Store } from '../bullmq/store.js';
import { isTransient } from '../bullmq/transient.js';
import {
  CorruptJobError,
  ExpectedFailureError,
  ExpiredError,
  type FailureOrigin,
  InvalidOptionError,
  isUmbelError,
  RevokedError,
  UpstreamFailedError,
  ValidationError,
} from '../errors.js';
import { type Children, gather } from '../flow/gather.js';
import { completeInput, fill } from '../flow/input.js';
import { type Callbacks, callbackId, type FlowNode, INTERNAL_JOB, INTERNAL_QUEUE } from '../flow/node.js';
import { prepared } from '../flow/prepare.js';
import { openTree } from '../flow/seal.js';
import { observeTree, type Runtime } from '../runtime.js';
import type { Hooks } from '../tasks/hooks.js';
import type { AnyMiddleware } from '../tasks/middleware.js';
import type { FailureRecord } from '../tasks/options.js';
import type { Registry, TaskEntry } from '../tasks/registry.js';
import { retryDelayMs } from '../tasks/retry.js';
import { decodeEnvelope, type Envelope } from '../wire/envelope.js';
import { recordError, toError } from '../wire/error-record.js';
import { jsonIssues } from '../wire/json.js';
import { maskFor, NO_MASK } from '../wire/masking.js';
import { validate } from '../wire/schema.js';
import { isSealed, type Sealer } from '../wire/sealing.js';
import { Attempt } from './attempt.js';
import type { ChildPool } from './isolated/child-pool.js';
import { runIsolated } from './isolated/run-isolated.js';
import type { ActiveJob, AttemptOutcome, ShownError } from './job.js';

/** What an app runs its jobs with. */
export interface ExecutorParts {
  /** The name of the app. */
  readonly app: string;
  readonly registry: Registry;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly sealer: Sealer;
  readonly hooks: Hooks;
  readonly middleware: readonly AnyMiddleware[];
  /** Names of keys whose values are masked. */
  readonly sensitive: readonly string[];
  readonly maxResultBytes: number;
  /** Where isolated tasks run; absent: in this process, as others. */
  readonly children?: ChildPool;
  readonly onError: (error: Error) => void;
}

type IsolatedTask = TaskEntry & Required<Pick<TaskEntry, 'run' | 'isolate'>>;

/** How long a job goes back to its queue when the store does not answer what the job needs. */
const UNREACHABLE_RETURN_MS = 5_000;

/**
 * One job from claim to outcome: read the envelope, complete the input from earlier steps, validate, run, validate the
 * result, and decide whether a failure is tried again. A final failure is recorded with the job first.
 */
export class Executor {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  /** The same, running isolated tasks in `children`. */
  withChildren(children: ChildPool): Executor {
    return new Executor({ ...this.#parts, children });
  }

  async execute(job: ActiveJob): Promise<AttemptOutcome> {
    const { runtime, sealer } = this.#parts;
    const { observer } = runtime;
    let envelope: Envelope | undefined;
    let attempt: Attempt | undefined;
    try {
      envelope = decodeEnvelope(job.id, job.data);
      const content = envelope;
      const run = () => this.#run(job, content, (begun) => (attempt = begun));
      const value = await (observer === undefined ? run() : observer.attempt(job, run));
      if (attempt !== undefined) await this.#succeeded(attempt, value);
      const kept = envelope.ignoreResult ? null : value;
      return {
        kind: 'completed',
        value: sealer.isActive ? await sealer.seal(kept, { subject: 'result', id: job.id, task: '' }) : kept,
      };
    } catch (thrown) {
      return this.#failed(job, envelope, attempt, toError(thrown));
    }
  }

  /** The result of one attempt at a job that no store holds. @throws what the handler throws. */
  async perform(job: ActiveJob): Promise<unknown> {
    return this.#run(job, decodeEnvelope(job.id, job.data), () => {});
  }

  async #succeeded({ task, context, reports }: Attempt, result: unknown): Promise<void> {
    await this.#hook(task, (hooks) => hooks.success?.(context, result));
    await this.#hook(task, (hooks) => hooks.always?.(context));
    await reports.end();
  }

  async #failed(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    error: Error,
  ): Promise<AttemptOutcome> {
    if (attempt === undefined && (isUmbelError(error, 'CONNECTION') || isTransient(error))) {
      // Nothing of the user's has run: an outage is not charged to the job.
      return { kind: 'returned', delayMs: UNREACHABLE_RETURN_MS };
    }
    const delayMs = this.#retryDelayMs(job, error);
    if (attempt !== undefined) {
      const { task, context } = attempt;
      await this.#hook(task, (hooks) =>
        delayMs === undefined ? hooks.failure?.(context, error) : hooks.retry?.(context, error),
      );
      await this.#hook(task, (hooks) => hooks.always?.(context));
      await attempt.reports.end();
    }
    const origin = this.#originOf(job, attempt, error);
    const shown = this.#shown(origin);
    if (delayMs !== undefined) return { kind: 'retry', delayMs, error: shown };
    if (envelope !== undefined) await this.#saveFailure(job, origin);
    return { kind: 'failed', error: shown };
  }

  #retryDelayMs(job: ActiveJob, error: Error): number | undefined {
    const { registry, runtime, onError } = this.#parts;
    const entry = registry.get(job.name);
    try {
      return retryDelayMs(error, {
        attempt: job.attempt,
        options: job.retry ?? entry?.options.retry,
        decisions: entry?.retryDecisions ?? {},
        random: runtime.random,
      });
    } catch (thrown) {
      // The task's own functions decide here; the job keeps the error that they were asked about.
      onError(new Error(`retry of task "${job.name}" threw: ${toError(thrown).message}`, { cause: thrown }));
      return undefined;
    }
  }

  async #saveFailure(job: ActiveJob, origin: FailureOrigin): Promise<void> {
    const { sealer, onError } = this.#parts;
    try {
      // It climbs through a run under the id of the job that failed first.
      const context = { subject: 'failure', id: origin.jobId, task: '' } as const;
      const error = await sealer.seal(origin.error, context);
      await job.saveFailure({ ...origin, error: error as FailureOrigin['error'] }); // or its sealed form, opened where it is read
    } catch (cause) {
      // The failure itself is still committed, with its message.
      onError(toError(cause));
    }
  }

  #originOf(job: ActiveJob, attempt: Attempt | undefined, error: Error): FailureOrigin {
    if (error instanceof UpstreamFailedError) return error.origin;
    const mask = attempt?.reports.mask ?? NO_MASK;
    // A fan-out may find that its value does not fit a member.
    const isMembers = job.name === INTERNAL_JOB.fanOut && error instanceof ValidationError;
    return {
      task: isMembers ? error.task : job.name,
      jobId: job.id,
      attempts: job.attempt,
      ...stateOf(error),
      error: mask.error(recordError(error)),
    };
  }

  #shown({ error }: FailureOrigin): ShownError {
    if (!this.#parts.sealer.isActive) return { message: error.message, stack: error.stack };
    return { message: `${error.name} (encoded with the job)`, stack: undefined };
  }

  #run(job: ActiveJob, envelope: Envelope, begun: (attempt: Attempt) => void): Promise<unknown> {
    if (job.queue !== INTERNAL_QUEUE) return this.#handle(job, envelope, begun);
    switch (job.name) {
      case INTERNAL_JOB.run:
      case INTERNAL_JOB.collect:
        return this.#pass(job, envelope);
      case INTERNAL_JOB.fanOut:
        if (envelope.revoked !== undefined) throw new RevokedError('The run was revoked before this step.');
        return this.#expand(job, envelope);
      default:
        throw new CorruptJobError(job.id, `there is no internal job "${job.name}"`);
    }
  }

  async #handle(job: ActiveJob, envelope: Envelope, begun: (attempt: Attempt) => void): Promise<unknown> {
    const { sealer, sensitive, runtime } = this.#parts;
    const { expires, revoked } = envelope;
    if (revoked !== undefined) throw new RevokedError(`Task "${job.name}" was revoked before it started.`);
    if (expires !== undefined && job.attempt === 1 && runtime.clock.now() >= expires) {
      throw new ExpiredError(`Task "${job.name}" was not started before it expired, at ${isoTime(expires)}.`);
    }
    const task = this.#taskOf(job.name);
    const input = await this.#completeInput(job, envelope);
    const decoded =
      task.input === undefined ? undefined : await validate(task.input, input, task.name, 'input');
    const { clock } = runtime;
    const attempt = new Attempt(job, envelope, task, { clock, sealer, onError: this.#parts.onError });
    const keys = [...sensitive, ...(task.sensitive ?? [])];
    if (keys.length > 0) attempt.reports.mask = maskFor(new Set(keys), [input, decoded]);
    begun(attempt);
    const { isolate } = task;
    const handler = isolate === undefined ? task.run : this.#isolated({ ...task, isolate }, attempt, input);
    await this.#hook(task, (hooks) => hooks.before?.(attempt.context, decoded));
    try {
      return await attempt.run(envelope.timeout ?? task.options.timeoutMs, async () => {
        const result = await this.#throughMiddleware(attempt, handler, decoded);
        return this.#checkedResult(task, result);
      });
    } catch (error) {
      throw error instanceof ExpectedFailureError ? await checkedFailure(task, error) : error;
    }
  }

  /** The handler in a child process; in this one where there are no children, or an observer supplies it. */
  #isolated(task: IsolatedTask, attempt: Attempt, input: unknown): NonNullable<TaskEntry['run']> {
    const { app, children, runtime } = this.#parts;
    if (children === undefined || runtime.observer !== undefined) return task.run;
    return () => runIsolated(children, { app, task, attempt, input });
  }

  /** The handler's result, with the middleware round it. */
  #throughMiddleware({ context }: Attempt, run: NonNullable<TaskEntry['run']>, input: unknown): unknown {
    const layers = this.#parts.middleware.filter((layer) => layer.run !== undefined);
    if (layers.length === 0) return run(input, context);
    const from = (index: number): Promise<unknown> => {
      const layer = layers[index];
      if (layer === undefined) return Promise.resolve(run(input, context));
      const next = (...[added]: unknown[]) => {
        Object.assign(context, added);
        return from(index + 1);
      };
      return Promise.resolve(layer.run?.(context, next, input));
    };
    return from(0);
  }

  async #checkedResult(task: TaskEntry, result: unknown): Promise<unknown> {
    const checked =
      task.output === undefined ? result : await validate(task.output, result, task.name, 'result');
    const issues = jsonIssues(checked, 'result', this.#parts.maxResultBytes);
    if (issues.length > 0) throw new ValidationError(task.name, 'result', issues);
    return checked;
  }

  /** Calls a hook of the app, then of the task. What it throws is told and changes nothing. */
  async #hook(task: TaskEntry, call: (hooks: Hooks) => unknown): Promise<void> {
    for (const hooks of [this.#parts.hooks, task.hooks]) {
      if (hooks === undefined) continue;
      try {
        await call(hooks);
      } catch (error) {
        this.#parts.onError(
          new Error(`a hook of task "${task.name}" threw: ${toError(error).message}`, { cause: error }),
        );
      }
    }
  }

  #taskOf(name: string): TaskEntry & Required<Pick<TaskEntry, 'run'>> {
    const { registry, runtime } = this.#parts;
    const entry = registry.get(name);
    const run = entry && runtime.observer?.handlerOf(entry);
    return entry && run ? { ...entry, run } : registry.handled(name);
  }

  async #completeInput(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { sealer } = this.#parts;
    const input = isSealed(envelope.input)
      ? await sealer.open(envelope.input, { subject: 'input', id: job.id, task: job.name })
      : envelope.input;
    if (envelope.after === undefined) return input;
    const value = await this.#earlierResult(job, envelope);
    return 'ignored' in envelope.after ? input : completeInput(job.name, { ...envelope, input }, value);
  }

  /** The result of the children; callbacks are sent once there is one, or a failure. */
  async #pass(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { callbacks } = envelope;
    if (callbacks === undefined) return this.#earlierResult(job, envelope);
    try {
      const value = await this.#earlierResult(job, envelope);
      await this.#sendCallbacks(job, envelope, 'success', value);
      return value;
    } catch (error) {
      if (error instanceof UpstreamFailedError) {
        await this.#sendCallbacks(job, envelope, 'failure', recordOf(error.origin));
      }
      throw error;
    }
  }

  async #sendCallbacks(
    job: ActiveJob,
    { callbacks, headers }: Envelope,
    kind: keyof Callbacks,
    value: unknown,
  ): Promise<void> {
    const { sealer, store, runtime, onError } = this.#parts;
    for (const [index, node] of (callbacks?.[kind] ?? []).entries()) {
      const id = callbackId(job.id, kind, index);
      try {
        const filled = prepared(fill(await openTree(sealer, id, node), value), {
          now: runtime.clock.now(),
          headers: headers ?? {},
        });
        await store.addRun(id, filled);
        if (runtime.observer !== undefined) observeTree(runtime.observer, id, filled);
      } catch (error) {
        if (!(error instanceof ValidationError)) throw error;
        // A callback does not change the outcome of what it follows.
        onError(new Error(`a callback of job ${job.id} cannot be sent: ${error.message}`, { cause: error }));
      }
    }
  }

  async #expand(job: ActiveJob, envelope: Envelope): Promise<null> {
    const { run, expand } = envelope;
    if (run === undefined || expand === undefined)
      throw new CorruptJobError(job.id, 'a fan-out without members');
    const { sealer, store, runtime } = this.#parts;
    const value = await this.#earlierResult(job, envelope);
    const members: FlowNode[] = [];
    for (const member of expand.members) members.push(fill(await openTree(sealer, run, member), value));
    await store.addChildren(run, expand.parent, members);
    const { observer } = runtime;
    if (observer !== undefined) for (const member of members) observeTree(observer, run, member);
    return null;
  }

  async #earlierResult(job: ActiveJob, { run, after }: Envelope): Promise<unknown> {
    if (run === undefined || after === undefined)
      throw new CorruptJobError(job.id, 'a step without earlier steps');
    return gather(job.id, this.#childrenOf(job), run, after);
  }

  #childrenOf(job: ActiveJob): Children {
    const { sealer, store } = this.#parts;
    return {
      async results() {
        const stored = await job.childResults();
        const opened = new Map<string, unknown>();
        for (const [id, value] of stored) {
          const isStored = isSealed(value);
          opened.set(id, isStored ? await sealer.open(value, { subject: 'result', id, task: '' }) : value);
        }
        return opened;
      },
      async failure() {
        const [first] = await job.failedChildren();
        return first && store.failure(first.queue, first.id, first.reason);
      },
    };
  }
}

/** The failure with its data as the task declares it, or why it cannot be that. */
async function checkedFailure(task: TaskEntry, { failure, data }: ExpectedFailureError): Promise<Error> {
  const { failures = {} } = task;
  const schema = Object.hasOwn(failures, failure) ? failures[failure] : undefined;
  if (schema === undefined) {
    const known = Object.keys(failures).join(', ') || 'none';
    return new InvalidOptionError('failure', `one that task "${task.name}" declares (${known})`, failure);
  }
  const checked = await validate(schema, data, task.name, 'failure');
  const issues = jsonIssues(checked, 'failure');
  return issues.length > 0
    ? new ValidationError(task.name, 'failure', issues)
    : new ExpectedFailureError(failure, checked);
}

function stateOf(error: Error): Pick<FailureOrigin, 'state'> {
  if (error instanceof ExpiredError) return { state: 'expired' };
  return error instanceof RevokedError ? { state: 'revoked' } : {};
}

function recordOf({ task, jobId, attempts = 1, error }: FailureOrigin): FailureRecord {
  const { name, message, code } = error;
  return { task, jobId, attempts, error: { name, message, ...(code !== undefined && { code }) } };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
