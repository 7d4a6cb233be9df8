/** What a job takes from the jobs it waited for, and the jobs that Umbel adds between a user's tasks. */

import {
  CorruptJobError,
  RevokedError,
  SkippedError,
  SubmitError,
  UpstreamFailedError,
} from '../base/errors.js';
import { isSealed } from '../codec/codecs.js';
import { readErrorRecord, rebuildError } from '../codec/error-record.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { INTERNAL_JOB } from '../job/job-tree.js';
import { completeInput } from '../workflow/input.js';
import { lossOf } from '../workflow/join.js';
import type { ExecutorParts } from './parts.js';
import { expand, JoinRunner } from './workflow-jobs.js';

export class InternalJobs {
  readonly #parts: ExecutorParts;
  readonly #joins: JoinRunner;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#joins = new JoinRunner(parts);
  }

  /** Runs an internal job. @throws {UpstreamFailedError} if a step that it waited for has failed. */
  run(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    switch (job.name) {
      case INTERNAL_JOB.run:
      case INTERNAL_JOB.collect:
        return this.#joins.collect(job, envelope);
      case INTERNAL_JOB.slice:
        return this.#joins.slice(job, envelope);
      case INTERNAL_JOB.probe:
        return this.#joins.probe(job, envelope);
      case INTERNAL_JOB.fallback:
        return this.#joins.fallback(job, envelope);
      case INTERNAL_JOB.fanOut:
        return this.#fanOut(job, envelope);
      case INTERNAL_JOB.feed:
        return this.#feed(job, envelope);
      case INTERNAL_JOB.schedule:
        return this.#parts.runSchedule(job, envelope);
      default:
        throw new CorruptJobError(job.id, `there is no internal job "${job.name}"`);
    }
  }

  /**
   * The whole input of a task; a promise of it if something has to be read or opened for it.
   * @throws {UpstreamFailedError} or rejects with it, if a step that it waited for has failed.
   */
  inputOf(job: ActiveJob, envelope: Envelope): unknown {
    const { input, after } = envelope;
    if (after !== undefined || isSealed(input)) return this.#gatheredInput(job, envelope);
    this.#parts.checks.checkStored(job.name, input);
    return input;
  }

  async #gatheredInput(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const input = await this.#opened(job, envelope.input);
    this.#parts.checks.checkStored(job.name, input);
    if (envelope.after === undefined) return input;
    const value = await this.#joins.valueOf(job, envelope);
    return envelope.after.ignored ? input : completeInput(job.name, { ...envelope, input }, value);
  }

  /** The inputs of a job that takes several in turn. */
  async itemsOf(job: ActiveJob, envelope: Envelope): Promise<readonly unknown[]> {
    const items = await this.#opened(job, envelope.items);
    if (!Array.isArray(items)) throw new CorruptJobError(job.id, 'its inputs are no list');
    const input = await this.#opened(job, envelope.input);
    this.#parts.checks.checkStored(job.name, input);
    for (const [place, item] of items.entries())
      this.#parts.checks.checkStored(job.name, item, `input[${(envelope.offset ?? 0) + place}]`);
    return items.map((item: unknown) => completeInput(job.name, { ...envelope, input }, item));
  }

  /** The value of what stands in the job's place. @throws {UpstreamFailedError} if it has failed, or the job was revoked. */
  replacementOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    return this.#joins.unlessRevoked(job, envelope, this.#joins.valueOf(job, envelope));
  }

  /**
   * Links what stands in the job's place to it again: the store has lost that one waits for the other.
   * @throws {UpstreamFailedError} or rejects with it, if it has failed or is gone, or the job was revoked.
   */
  async relinkReplacement(job: ActiveJob, envelope: Envelope, replacement: JobRef): Promise<void> {
    const { store } = this.#parts;
    const outcome = await store.outcome(replacement.queue, replacement.id);
    const failure =
      outcome.kind === 'missing'
        ? lossOf(replacement.id)
        : outcome.kind === 'failed'
          ? outcome.failure
          : undefined;
    if (failure !== undefined)
      await this.#joins.unlessRevoked(job, envelope, Promise.reject(new UpstreamFailedError(failure)));
    await store.addBelow({ queue: job.queue, id: job.id }, replacement, 'unknown', {});
  }

  async #fanOut(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    const { after } = envelope;
    const value =
      after === undefined
        ? await this.#opened(job, envelope.input)
        : await this.#joins.valueOf(job, envelope);
    return expand(this.#parts, this.#joins, job, envelope, value);
  }

  /** How many members a sender has added. It starts this job once it is done; if it dies, the store does. */
  async #feed(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    const { fed } = envelope;
    if (fed === undefined) {
      throw new SubmitError('The process that sent this group ended before it had sent all its members.');
    }
    if ('error' in fed) {
      const context = { subject: 'failure', id: job.id, task: '' } as const;
      const record = readErrorRecord(await this.#parts.sealer.open(fed.error, context));
      throw record === undefined
        ? new CorruptJobError(job.id, 'its error cannot be read')
        : rebuildError(record);
    }
    return fed;
  }

  #opened(job: ActiveJob, value: unknown): unknown {
    if (!isSealed(value)) return value;
    return this.#parts.sealer.open(value, { subject: 'input', id: job.id, task: job.name });
  }
}

/** @throws {RevokedError} or {@link SkippedError} if a job that adds others is not to start any more. */
function refuseRevoked({ revoked, skipped }: Envelope): void {
  if (revoked === undefined) return;
  if (skipped) throw new SkippedError('Its group has its outcome without this step.');
  throw new RevokedError('The run was revoked before this step.');
}
