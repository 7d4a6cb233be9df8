/**
 * Runs one job from claim to outcome; the queue consumers call it. Steps: read the envelope, complete the input from
 * earlier steps, validate, run the handler, validate the result, decide whether a failure is retried.
 * The final failure is stored with the job before the outcome is returned.
 */

import { type ErrorRecord, type FailureOrigin, ValidationError } from '../base/errors.js';
import {
  ExpiredError,
  LockLostError,
  RevokedError,
  SkippedError,
  UpstreamFailedError,
  WorkerClosedError,
} from '../base/failures.js';
import { recordError, toError } from '../codec/error-record.js';
import { NO_MASK } from '../codec/masking.js';
import { decodeEnvelope, type Envelope, type LostStart } from '../job/envelope.js';
import { pathOf } from '../job/ids.js';
import type { ActiveJob, AttemptOutcome, ShownError, UnreadableJob } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { stopped } from '../job/marks.js';
import { addChildren } from '../store/add.js';
import { errorTerms } from '../store/search-terms.js';
import { isWaitJob } from '../store/signals.js';
import { RetryRequest, retryDelayMs } from '../task/retry.js';
import { storedInput } from '../workflow/input.js';
import { lossOf, unlikeProbe, wakingProbe } from '../workflow/join.js';
import type { Attempt } from './attempt.js';
import { ChainEnded, EndChain, ProbeEnd, Snooze, WaitForChildren } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';
import { type BegunAttempt, HandlerRunner, type Reached } from './handler.js';
import { EventLoopMeter } from './health.js';
import { InternalJobs } from './internal-jobs.js';
import {
  activeJobOf,
  exclusiveTimes,
  isPoison,
  isSuspicious,
  lossesOf,
  PoisonGate,
  poisonError,
  withBegunStart,
  withLosses,
  withRefusal,
  withSharedStart,
} from './poison.js';
import { storeTrace } from './tracing.js';

/** Delay of a job that returns to its queue because the store does not answer. */
const UNREACHABLE_RETURN_MS = 5_000;
/** Default delay of a job that its handler returned to the queue without counting the attempt. */
const UNCOUNTED_RETURN_MS = 1000;
/** A job may add children several times, and each time they may end before the job starts to wait. */
const MAX_REFUSED_WAITS = 5;
/** Default delay of a snoozed job, such as a join that has enough members while more are being added. */
const SNOOZE_MS = 200;

/** Delay of a job that waited too long for a job that runs exclusively in this process. */
const HELD_RETURN_MS = 1000;

export class Executor {
  readonly #dependencies: ExecutorDependencies;
  readonly #internalJobs: InternalJobs;
  readonly #handlers: HandlerRunner;
  readonly #poisonGate: PoisonGate;

  constructor(dependencies: ExecutorDependencies) {
    this.#dependencies = dependencies;
    this.#internalJobs = new InternalJobs(dependencies);
    this.#handlers = new HandlerRunner(dependencies, this.#internalJobs);
    this.#poisonGate = new PoisonGate(dependencies.runtime.clock);
  }

  /** Returns an executor with the settings of one worker. */
  forWorker(
    dependencies: Pick<ExecutorDependencies, 'children' | 'maxLostStarts' | 'lockDurationMs' | 'activity'>,
  ): Executor {
    return new Executor({ ...this.#dependencies, ...dependencies });
  }

  async execute(job: ActiveJob): Promise<AttemptOutcome> {
    const { runtime, sealer, activity } = this.#dependencies;
    const { observer } = runtime;
    const active = activity?.begin(job);
    let outcome: AttemptOutcome | undefined;
    let envelope: Envelope | undefined;
    const begun: BegunAttempt = { attempt: undefined };
    let isCounted = false;
    // One function that awaits only what is asynchronous: each further promise costs as much as checking a small input.
    try {
      try {
        const content = decodeEnvelope(job.id, job.data);
        envelope = content;
        let reached: Reached | undefined;
        if (job.queue !== INTERNAL_QUEUE) {
          const suspicious = job.stalls > 0 ? await this.#startAfterLoss(job, content) : undefined;
          reached = suspicious?.reached;
          if (suspicious?.isExclusive !== true) {
            const admission = this.#poisonGate.enter();
            if (admission !== undefined && !(await admission)) throw new Snooze(HELD_RETURN_MS);
            isCounted = true;
          }
        }
        // Before the handler reads anything: it then sees the changes of a caller whose duplicate call was dropped.
        if (content.uniqueUntilStarted) await job.endUniqueness();
        const value = await (observer === undefined
          ? this.#run(job, content, begun, reached)
          : observer.attempt(job, () => this.#run(job, content, begun, reached)));
        const { attempt } = begun;
        const kept = content.ignoreResult ? null : value;
        const stored = sealer.isActive ? await this.#encodeResult(job, kept) : kept;
        if (attempt !== undefined) {
          const ending = this.#reportSuccess(attempt, value);
          if (ending !== undefined) await ending;
          const leaving = storeTrace(job, content, attempt);
          if (leaving !== undefined) await leaving;
          if (activity?.isHeard) activity.gave(job, attempt.mask.value(value));
        }
        outcome = { kind: 'completed', value: stored };
      } catch (thrown) {
        outcome = await this.#outcomeOfThrown(job, envelope, begun.attempt, thrown);
      }
      return outcome;
    } finally {
      if (isCounted) this.#poisonGate.leave();
      if (active !== undefined) activity?.end(active, outcome);
    }
  }

  /** Returns the outcome of an attempt that threw. */
  async #outcomeOfThrown(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    thrown: unknown,
  ): Promise<AttemptOutcome> {
    try {
      return (
        (await this.#outcomeOfControlFlow(job, envelope, attempt, thrown)) ??
        (await this.#outcomeOfFailure(job, envelope, attempt, toError(thrown)))
      );
    } catch (error) {
      // The lock was lost while the outcome was being stored: another worker decides.
      if (error instanceof LockLostError) return { kind: 'lost' };
      throw error;
    }
  }

  /**
   * Starts a job that was lost before: exclusively if it was lost several times.
   * @throws {PoisonJobError} if it ended its worker too often while it ran exclusively.
   */
  async #startAfterLoss(
    job: ActiveJob,
    content: Envelope,
  ): Promise<{ isExclusive: boolean; reached: Reached }> {
    const { clock } = this.#dependencies.runtime;
    const now = clock.now();
    const losses = lossesOf(content.lost, job, now);
    if (isPoison(losses, this.#dependencies.maxLostStarts)) await this.#refusePoison(job, now);
    if (!isSuspicious(losses)) {
      const reached = () => storeBegunStart(job, now, () => false);
      return { isExclusive: false, reached };
    }
    const { exclusiveMs, drainMs } = exclusiveTimes(losses);
    const exclusiveRun = await this.#poisonGate.runExclusively(drainMs);
    if (exclusiveRun === undefined) {
      await job.change(({ lost }) =>
        lost !== undefined && (lost.begun === undefined || lost.begun.start >= job.starts)
          ? undefined
          : { lost: withLosses(lossesOf(lost, job, now)) },
      );
      throw new Snooze();
    }
    const meter = new EventLoopMeter();
    const { lockDurationMs = 0 } = this.#dependencies;
    // If the event loop was blocked while only this job ran, this job caused the missed lock renewal.
    job.chargeLossIf(() => meter.take().delayMs > lockDurationMs / 2);
    const storeSharing = () => job.change(({ lost }) => withSharedStart(lost, job));
    const timer = clock.setDeadline(() => {
      const stored = storeSharing().catch(() => {}); // a crash now is then charged to this job although others run too
      void stored.then(() => exclusiveRun.share());
    }, exclusiveMs);
    // Until its outcome is stored a crash may be caused by this job.
    job.onceStored(() => {
      clock.clearTimeout(timer);
      meter.stop();
      exclusiveRun.end();
    });
    const reached = async () => {
      await storeBegunStart(job, now, () => exclusiveRun.isExclusive);
      if (!exclusiveRun.isExclusive) await storeSharing();
    };
    return { isExclusive: true, reached };
  }

  /** Reads the losses again. @throws {PoisonJobError} unless the worker of a loss has since reported that it lives. */
  async #refusePoison(job: ActiveJob, now: number): Promise<void> {
    let fatal: LostStart[] | undefined;
    await job.change(({ lost }) => {
      const losses = lossesOf(lost, job, now);
      fatal = isPoison(losses, this.#dependencies.maxLostStarts) ? losses : undefined;
      return fatal && { lost: withRefusal(fatal, job) };
    });
    if (fatal !== undefined) throw poisonError(job.name, fatal);
  }

  /** Returns the outcome of an attempt that ended with a control-flow exception; undefined if it failed. */
  async #outcomeOfControlFlow(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    thrown: unknown,
  ): Promise<AttemptOutcome | undefined> {
    if (thrown instanceof WaitForChildren) {
      // The job waits for children but the store has none of them: another try would not change that.
      if (job.refusedWaits >= MAX_REFUSED_WAITS)
        return this.#outcomeOfFailure(job, envelope, attempt, new UpstreamFailedError(lossOf(job.id)));
      await attempt?.endReports();
      return { kind: 'waiting', ...(thrown.seen !== undefined && { seen: thrown.seen }) };
    }
    if (thrown instanceof LockLostError) {
      await attempt?.endReports();
      return { kind: 'lost' };
    }
    if (thrown instanceof WorkerClosedError) {
      await attempt?.endReports();
      return { kind: 'returned', delayMs: 0 };
    }
    if (thrown instanceof Snooze) return { kind: 'returned', delayMs: thrown.delayMs ?? SNOOZE_MS };
    if (thrown instanceof ProbeEnd)
      return { kind: 'failed', error: { name: 'ProbeEnd', message: thrown.reason, stack: undefined } };
    if (thrown instanceof ChainEnded) {
      if (thrown.own === undefined && envelope?.revoked === undefined) await job.save({ skipped: true });
      return { kind: 'completed', value: await this.#encodeResult(job, thrown.result) };
    }
    if (thrown instanceof EndChain && envelope !== undefined) {
      const by = pathOf(envelope.run ?? job.id, job.id);
      const value = await this.#encodeResult(job, stopped(thrown.chain, by, thrown.value));
      if (attempt !== undefined) {
        await this.#reportSuccess(attempt, thrown.value);
        await storeTrace(job, envelope, attempt);
      }
      return { kind: 'completed', value };
    }
    return undefined;
  }

  /** Returns the jobs that wait at the poison gate to their queues: the worker is closing. */
  close(): void {
    this.#poisonGate.close();
  }

  /** Starts a job that waits for its children, by adding a child that fails at once. */
  async wake(job: ActiveJob): Promise<void> {
    const { run = job.id } = decodeEnvelope(job.id, job.data);
    const path = pathOf(run, job.id);
    await addChildren(this.#dependencies.store, run, { path, queue: job.queue }, [wakingProbe(path)]);
  }

  /** Runs one attempt at a job that is in no store, and returns its result. @throws the handler's error. */
  async perform(job: ActiveJob): Promise<unknown> {
    return this.#run(job, decodeEnvelope(job.id, job.data), { attempt: undefined });
  }

  #encodeResult(job: ActiveJob, value: unknown): Promise<unknown> {
    return this.#dependencies.sealer.encode(value, { subject: 'result', id: job.id, task: '' });
  }

  /** Calls the hooks of a success. Returns a promise if that is asynchronous. */
  #reportSuccess(attempt: Attempt, result: unknown): Promise<unknown> | undefined {
    const { task, context } = attempt;
    if (!this.#handlers.hasHooks(task)) return attempt.endReports();
    return this.#handlers
      .hook(attempt, (hooks) => hooks.success?.(context, result))
      .then(() => this.#handlers.hook(attempt, (hooks) => hooks.always?.(context)))
      .then(() => attempt.endReports());
  }

  /** Decides between a retry, a return to the queue and a final failure; calls the hooks and stores the failure. */
  async #outcomeOfFailure(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    error: Error,
  ): Promise<AttemptOutcome> {
    if (this.#dependencies.store.isOutage(error)) {
      await attempt?.endReports();
      // An outage of the store uses up no attempt (W6 of `docs/reliability.md`).
      return { kind: 'returned', delayMs: UNREACHABLE_RETURN_MS };
    }
    if (error instanceof RetryRequest && !error.isCounted) {
      if (attempt !== undefined) {
        await this.#handlers.hook(attempt, (hooks) => hooks.always?.(attempt.context));
        await attempt.endReports();
      }
      return { kind: 'returned', delayMs: error.delayMs ?? UNCOUNTED_RETURN_MS };
    }
    const delayMs = this.#retryDelayMs(job, error);
    const observed = attempt ?? this.#handlers.unstarted(job, envelope, error);
    if (observed !== undefined) await this.#handlers.failed(observed, error, delayMs === undefined);
    const origin = this.#originOf(job, attempt, error);
    const shown = this.#shown(origin);
    const isUpstream = error instanceof UpstreamFailedError;
    if (delayMs !== undefined) {
      if (attempt !== undefined) await this.#saveDefaults(job, attempt);
      return { kind: 'retry', delayMs, error: shown };
    }
    if (envelope !== undefined) await this.#saveFailure(job, origin, envelope.run && attempt?.trace);
    if (!isUpstream && (origin.state ?? 'expired') === 'expired') await this.#noteError(job, origin.error);
    return { kind: 'failed', error: shown, ...(isUpstream && { isUpstream }) };
  }

  /** Calls the hooks of a job that failed because its stored data cannot be read. */
  async unreadable(unreadable: UnreadableJob, error: Error): Promise<void> {
    const attempt = this.#handlers.unstarted(activeJobOf(unreadable), undefined, error);
    if (attempt !== undefined) await this.#handlers.failed(attempt, error, true);
  }

  #retryDelayMs(job: ActiveJob, error: Error): number | undefined {
    const { registry, runtime, onError } = this.#dependencies;
    const entry = registry.get(job.name);
    try {
      return retryDelayMs(error, {
        attempt: job.attempt,
        options: job.retry ?? entry?.options.retry,
        decisions: entry?.retryDecisions ?? {},
        random: runtime.random,
      });
    } catch (thrown) {
      // The retry policy contains functions of the task; the job keeps the original error.
      onError(new Error(`the retry policy of task "${job.name}" threw ${toError(thrown).name}`));
      return undefined;
    }
  }

  /** Stores the defaults of the input, so that the next attempt receives the same values. */
  async #saveDefaults(job: ActiveJob, { envelope, received, task }: Attempt): Promise<void> {
    if (received === undefined) return;
    const { sealer, onError } = this.#dependencies;
    try {
      const completed = await this.#dependencies.checks.completed(task, received.input, received.decoded);
      if (completed === received.input) return;
      const context = { subject: 'input', id: job.id, task: job.name } as const;
      const stored = await sealer.decode(envelope.input, context);
      const input = storedInput({ ...envelope, input: stored }, received.input, completed);
      await job.save({ input: await sealer.encode(input, context) });
    } catch (cause) {
      if (cause instanceof LockLostError) throw cause;
      onError(toError(cause)); // the next attempt computes them again
    }
  }

  async #saveFailure(job: ActiveJob, origin: FailureOrigin, trace: string | undefined): Promise<void> {
    const { sealer, onError } = this.#dependencies;
    try {
      // The failure passes up through the run under the id of the job that failed first.
      const context = { subject: 'failure', id: origin.jobId, task: '' } as const;
      const error = await sealer.encode(origin.error, context);
      const failure = { ...origin, error: error as FailureOrigin['error'] }; // or its encoded form, decoded where it is read
      await job.save({ failure, ...(trace !== undefined && { trace }) });
    } catch (cause) {
      if (cause instanceof LockLostError) throw cause;
      // The failure is still committed, with its message.
      onError(toError(cause));
    }
  }

  /** Adds a failed job to the search index. */
  async #noteError({ queue, id }: ActiveJob, error: ErrorRecord): Promise<void> {
    const { tags, runtime, onError } = this.#dependencies;
    if (!tags.hasTerms || queue === INTERNAL_QUEUE) return;
    try {
      await tags.add(errorTerms(error), { queue, id }, runtime.clock.now());
    } catch (cause) {
      // The job has failed in any case. Searches by its error do not find it.
      onError(toError(cause));
    }
  }

  #originOf(job: ActiveJob, attempt: Attempt | undefined, error: Error): FailureOrigin {
    if (error instanceof UpstreamFailedError) return error.origin;
    const mask = attempt?.mask ?? NO_MASK;
    // A fan-out may find its value invalid for a member, and `flat` may find that its list is not one of lists.
    const isInternal = job.queue === INTERNAL_QUEUE && error instanceof ValidationError;
    return {
      task: isInternal ? error.task : (signalOf(job) ?? job.name),
      jobId: job.id,
      attempts: job.attempt,
      ...stateOfFailure(error),
      ...(attempt?.item !== undefined && { index: attempt.item }),
      error: mask.error(recordError(error)),
    };
  }

  #shown({ error }: FailureOrigin): ShownError {
    if (!this.#dependencies.sealer.isActive)
      return { name: error.name, message: unlikeProbe(error.message), stack: error.stack };
    return { name: error.name, message: `${error.name} (encoded with the job)`, stack: undefined };
  }

  #run(job: ActiveJob, envelope: Envelope, begun: BegunAttempt, reached?: Reached): Promise<unknown> {
    return job.queue === INTERNAL_QUEUE
      ? this.#internalJobs.run(job, envelope)
      : this.#handlers.handle(job, envelope, begun, reached);
  }
}

/**
 * Stores that the handler of a job is called next.
 * @throws {LockLostError} if another worker has the job now: the record of its later start must stay.
 */
async function storeBegunStart(job: ActiveJob, now: number, isExclusive: () => boolean): Promise<void> {
  job.signal.throwIfAborted();
  await job.change(({ lost }) =>
    (lost?.begun?.start ?? 0) > job.starts
      ? undefined
      : { lost: withBegunStart(lossesOf(lost, job, now), job, isExclusive()) },
  );
  job.signal.throwIfAborted();
}

/** Returns the name of the signal that a job waits for. Errors show it in place of a task. */
function signalOf({ queue, name, data }: ActiveJob): string | undefined {
  if (!isWaitJob(queue, name)) return undefined;
  return (data as Partial<Envelope>).wait?.signal; // unreadable data have failed before
}

function stateOfFailure(error: Error): Pick<FailureOrigin, 'state'> {
  if (error instanceof ExpiredError) return { state: 'expired' };
  if (error instanceof SkippedError) return { state: 'skipped' };
  return error instanceof RevokedError ? { state: 'revoked' } : {};
}
