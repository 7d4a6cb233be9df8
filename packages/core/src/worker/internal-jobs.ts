/** Dispatches the internal jobs that Umbel adds between tasks, and completes the input of a task from earlier steps. */

import { CorruptJobError, SubmitError } from '../base/errors.js';
import { RevokedError, SkippedError, UpstreamFailedError } from '../base/failures.js';
import { isSealed } from '../codec/codecs.js';
import { readErrorRecord, rebuildError } from '../codec/error-record.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { INTERNAL_JOB } from '../job/job-tree.js';
import { addBelow } from '../store/add.js';
import { compactRun } from '../store/compaction.js';
import { jobOutcomeOf } from '../store/results.js';
import { completeInput } from '../workflow/input.js';
import { lossOf } from '../workflow/join.js';
import type { ExecutorDependencies } from './dependencies.js';
import { LoopRunner } from './loop-jobs.js';
import { runSignalWait } from './signal-wait.js';
import { sleepWith } from './sleep-jobs.js';
import { expand, JoinRunner } from './workflow-jobs.js';

export class InternalJobs {
  readonly #dependencies: ExecutorDependencies;
  readonly #joins: JoinRunner;

  constructor(dependencies: ExecutorDependencies) {
    this.#dependencies = dependencies;
    this.#joins = new JoinRunner(dependencies);
  }

  /** Runs an internal job. @throws {UpstreamFailedError} if an earlier step failed. */
  run(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    switch (job.name) {
      case INTERNAL_JOB.run:
        return this.#run(job, envelope);
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
      case INTERNAL_JOB.sleep:
        return this.#sleep(job, envelope);
      case INTERNAL_JOB.loop:
        return this.#loop(job, envelope);
      case INTERNAL_JOB.schedule:
        return this.#dependencies.runSchedule(job, envelope);
      case INTERNAL_JOB.wait:
        return this.#wait(job, envelope);
      default:
        throw new CorruptJobError(
          job.id,
          `there is no internal job "${job.name}" in this version of the worker; update it, then resume the run`,
        );
    }
  }

  /**
   * Returns the complete input of a task; a promise if the store must be read or a value decoded for it.
   * @throws {UpstreamFailedError} or rejects with it, if an earlier step failed.
   */
  inputOf(job: ActiveJob, envelope: Envelope): unknown {
    const { input, after } = envelope;
    if (after !== undefined || isSealed(input)) return this.#readInput(job, envelope);
    this.#dependencies.checks.checkStored(job.name, input);
    return input;
  }

  async #readInput(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const input = await this.#decode(job, envelope.input);
    this.#dependencies.checks.checkStored(job.name, input);
    if (envelope.after === undefined) return input;
    const value = await this.#joins.valueOf(job, envelope);
    return envelope.after.ignored ? input : completeInput(job.name, { ...envelope, input }, value);
  }

  /** Returns the inputs of a job of `chunks()`. */
  async itemsOf(job: ActiveJob, envelope: Envelope): Promise<readonly unknown[]> {
    const items = await this.#decode(job, envelope.items);
    if (!Array.isArray(items)) throw new CorruptJobError(job.id, 'its inputs are not a list');
    const input = await this.#decode(job, envelope.input);
    this.#dependencies.checks.checkStored(job.name, input);
    for (const [index, item] of items.entries())
      this.#dependencies.checks.checkStored(job.name, item, `input[${(envelope.offset ?? 0) + index}]`);
    return items.map((item: unknown) => completeInput(job.name, { ...envelope, input }, item));
  }

  /** Returns the value of the job's replacement. @throws {UpstreamFailedError} if it failed, or the job was revoked. */
  replacementOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    return this.#joins.valueUnlessRevoked(job, envelope, this.#joins.valueOf(job, envelope));
  }

  /**
   * Links the replacement to the job again: the store lost that the job waits for it.
   * @throws {UpstreamFailedError} or rejects with it, if the replacement failed or is missing, or the job was revoked.
   */
  async relinkReplacement(job: ActiveJob, envelope: Envelope, replacement: JobRef): Promise<void> {
    const { store } = this.#dependencies;
    const outcome = await jobOutcomeOf(store, replacement);
    const failure =
      outcome.kind === 'missing'
        ? lossOf(replacement.id)
        : outcome.kind === 'failed'
          ? outcome.failure
          : undefined;
    if (failure !== undefined)
      await this.#joins.valueUnlessRevoked(job, envelope, Promise.reject(new UpstreamFailedError(failure)));
    await addBelow(store, { queue: job.queue, id: job.id }, replacement, 'unknown', {});
  }

  async #sleep(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    const value =
      envelope.after === undefined
        ? ((await this.#decode(job, envelope.input)) ?? null)
        : await this.#joins.unresolvedValueOf(job, envelope);
    return sleepWith(this.#dependencies, job, envelope, value);
  }

  async #loop(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    return new LoopRunner(this.#dependencies, job, envelope).run(() => this.#previousValue(job, envelope));
  }

  async #wait(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    return runSignalWait(this.#dependencies, job, envelope, await this.#previousValue(job, envelope));
  }

  async #run(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const value = await this.#joins.collect(job, envelope);
    job.onceStored(() => compactRun(this.#dependencies.store, job.id));
    return value;
  }

  async #fanOut(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    const value = await this.#previousValue(job, envelope);
    return expand(this.#dependencies, this.#joins, job, envelope, value);
  }

  /** Returns the value that an internal job gets from the step before it, or with its input. */
  async #previousValue(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    return envelope.after === undefined
      ? this.#decode(job, envelope.input)
      : this.#joins.valueOf(job, envelope);
  }

  /** Returns the number of members that a sender added. The sender starts this job; if it crashes, the store does. */
  async #feed(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    refuseRevoked(envelope);
    const { fed } = envelope;
    if (fed === undefined) {
      throw new SubmitError(
        'The process that sent this group ended before it had sent all members. Send the group again.',
      );
    }
    if ('error' in fed) {
      const context = { subject: 'failure', id: job.id, task: '' } as const;
      const record = readErrorRecord(await this.#dependencies.sealer.decode(fed.error, context));
      throw record === undefined
        ? new CorruptJobError(job.id, 'its error cannot be read')
        : rebuildError(record);
    }
    return fed;
  }

  #decode(job: ActiveJob, value: unknown): unknown {
    if (!isSealed(value)) return value;
    return this.#dependencies.sealer.decode(value, { subject: 'input', id: job.id, task: job.name });
  }
}

/** @throws {RevokedError} or {@link SkippedError} if a job that adds others was revoked. */
function refuseRevoked({ revoked, skipped }: Envelope): void {
  if (revoked === undefined) return;
  if (skipped) throw new SkippedError('The group has an outcome without this step.');
  throw new RevokedError('The run was revoked before this step.');
}
