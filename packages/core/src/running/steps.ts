/** What a job takes from the jobs it waited for, and the jobs that Umbel adds between a user's tasks. */
import { isTransient } from '../bullmq/transient.js';
import {
  ConnectionError,
  CorruptJobError,
  type FailureOrigin,
  RevokedError,
  UpstreamFailedError,
  ValidationError,
} from '../errors.js';
import { type Children, gather } from '../flow/gather.js';
import { completeInput, fill } from '../flow/input.js';
import { type Callbacks, callbackId, type FlowNode, INTERNAL_JOB } from '../flow/node.js';
import { prepared } from '../flow/prepare.js';
import { openTree } from '../flow/seal.js';
import { observeTree } from '../runtime.js';
import type { FailureRecord } from '../tasks/options.js';
import type { Envelope } from '../wire/envelope.js';
import { isSealed } from '../wire/sealing.js';
import type { ActiveJob } from './job.js';
import type { ExecutorParts } from './parts.js';

export class Steps {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  /** Runs an internal job. @throws {UpstreamFailedError} if a step that it waited for has failed. */
  run(job: ActiveJob, envelope: Envelope): Promise<unknown> {
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

  /** The whole input of a task. @throws {UpstreamFailedError} if a step that it waited for has failed. */
  async inputOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
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
        const stored = await reached(job.childResults());
        const opened = new Map<string, unknown>();
        for (const [id, value] of stored) {
          const isStored = isSealed(value);
          opened.set(id, isStored ? await sealer.open(value, { subject: 'result', id, task: '' }) : value);
        }
        return opened;
      },
      async failure() {
        const [first] = await reached(job.failedChildren());
        return first && store.failure(first.queue, first.id, first.reason);
      },
    };
  }
}

/** The answer of the store. @throws {ConnectionError} if it cannot be reached: that is no failure of the job. */
async function reached<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (!isTransient(cause)) throw cause;
    throw new ConnectionError('The store does not give the results of earlier steps now.', { cause });
  }
}

function recordOf({ task, jobId, attempts = 1, error }: FailureOrigin): FailureRecord {
  const { name, message, code } = error;
  return { task, jobId, attempts, error: { name, message, ...(code !== undefined && { code }) } };
}
