import type { Store } from '../bullmq/store.js';
import type { Clock } from '../clock.js';
import { durationMs } from '../duration.js';
import { CorruptJobError, type FailureOrigin, UpstreamFailedError, ValidationError } from '../errors.js';
import { gather, type ReadFailure } from '../flow/gather.js';
import { completeInput, fill } from '../flow/input.js';
import { INTERNAL_JOB } from '../flow/node.js';
import { observeTree, type Runtime } from '../runtime.js';
import type { Registry, TaskEntry } from '../tasks/registry.js';
import { neverRetried } from '../tasks/retry.js';
import { decodeEnvelope, type Envelope } from '../wire/envelope.js';
import { recordError, toError } from '../wire/error-record.js';
import { jsonIssues } from '../wire/json.js';
import { validate } from '../wire/schema.js';
import type { TaskContext } from './context.js';
import type { ActiveJob } from './job.js';

/**
 * One job from claim to outcome: read the envelope, complete the input from earlier steps, validate, run, validate
 * the result. Gives the result, throws the failure; the failure of a last attempt is recorded with the job first.
 */
export class Executor {
  readonly #registry: Registry;
  readonly #store: Store;
  readonly #runtime: Runtime;
  readonly #onError: (error: Error) => void;

  constructor(registry: Registry, store: Store, runtime: Runtime, onError: (error: Error) => void) {
    this.#registry = registry;
    this.#store = store;
    this.#runtime = runtime;
    this.#onError = onError;
  }

  async execute(job: ActiveJob): Promise<unknown> {
    const { observer } = this.#runtime;
    const run = async () => this.#run(job, decodeEnvelope(job.id, job.data));
    try {
      return await (observer === undefined ? run() : observer.attempt(job, run));
    } catch (thrown) {
      const error = toError(thrown);
      const isLast = neverRetried(error) || job.attempt >= job.maxAttempts;
      if (isLast) await this.#saveFailure(job, error);
      throw error;
    }
  }

  async #saveFailure(job: ActiveJob, error: Error): Promise<void> {
    // A job that is not ours keeps its data as it is.
    if (error instanceof CorruptJobError) return;
    try {
      await job.saveFailure(originOf(job, error));
    } catch (cause) {
      // The failure itself is still committed, with its message.
      this.#onError(toError(cause));
    }
  }

  #run(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    switch (job.name) {
      case INTERNAL_JOB.run:
      case INTERNAL_JOB.collect:
        return this.#earlierResult(job, envelope);
      case INTERNAL_JOB.fanOut:
        return this.#expand(job, envelope);
      default:
        return this.#handle(job, envelope);
    }
  }

  async #handle(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const task = this.#taskOf(job.name);
    const input = await this.#completeInput(job, envelope);
    const decoded =
      task.input === undefined ? undefined : await validate(task.input, input, task.name, 'input');
    const result = await task.run(decoded, contextOf(job, envelope, this.#runtime.clock));
    const checked =
      task.output === undefined ? result : await validate(task.output, result, task.name, 'result');
    const issues = jsonIssues(checked, 'result');
    if (issues.length > 0) throw new ValidationError(task.name, 'result', issues);
    return checked;
  }

  #taskOf(name: string): TaskEntry & Required<Pick<TaskEntry, 'run'>> {
    const entry = this.#registry.get(name);
    const run = entry && this.#runtime.observer?.handlerOf(entry);
    return entry && run ? { ...entry, run } : this.#registry.handled(name);
  }

  async #completeInput(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    if (envelope.after === undefined) return envelope.input;
    const value = await this.#earlierResult(job, envelope);
    return 'ignored' in envelope.after ? envelope.input : completeInput(job.name, envelope, value);
  }

  async #expand(job: ActiveJob, envelope: Envelope): Promise<null> {
    const { run, expand } = envelope;
    if (run === undefined || expand === undefined)
      throw new CorruptJobError(job.id, 'a fan-out without members');
    const value = await this.#earlierResult(job, envelope);
    const members = expand.members.map((member) => fill(member, value));
    await this.#store.addChildren(run, expand.parent, members);
    const { observer } = this.#runtime;
    if (observer !== undefined) for (const member of members) observeTree(observer, run, member);
    return null;
  }

  async #earlierResult(job: ActiveJob, { run, after }: Envelope): Promise<unknown> {
    if (run === undefined || after === undefined)
      throw new CorruptJobError(job.id, 'a step without earlier steps');
    return gather(job, run, after, this.#readFailure);
  }

  readonly #readFailure: ReadFailure = ({ queue, id, reason }) => this.#store.failure(queue, id, reason);
}

function contextOf(job: ActiveJob, { run, headers = {} }: Envelope, clock: Clock): TaskContext {
  return {
    id: job.id,
    name: job.name,
    queue: job.queue,
    attempt: job.attempt,
    ...(run !== undefined && { runId: run }),
    headers,
    get signal() {
      return job.signal;
    },
    now: () => clock.now(),
    sleep: (duration) => sleep(clock, durationMs(duration, 'duration'), job.signal),
  };
}

/** Resolves after `ms`; rejects with the signal's reason once it is aborted. */
function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => {
      clock.clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}

function originOf(job: ActiveJob, error: Error): FailureOrigin {
  if (error instanceof UpstreamFailedError) return error.origin;
  // A fan-out may find that its value does not fit a member.
  const isMembers = job.name === INTERNAL_JOB.fanOut && error instanceof ValidationError;
  const task = isMembers ? error.task : job.name;
  return { task, jobId: job.id, error: recordError(error) };
}
