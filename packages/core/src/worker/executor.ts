import {
  ExpiredError,
  type FailureOrigin,
  LockLostError,
  RevokedError,
  SkippedError,
  UpstreamFailedError,
  ValidationError,
  WorkerClosedError,
} from '../base/errors.js';
import { recordError, toError } from '../codec/error-record.js';
import { NO_MASK } from '../codec/masking.js';
import { decodeEnvelope, type Envelope, type LostStart } from '../job/envelope.js';
import { pathOf } from '../job/ids.js';
import type { ActiveJob, AttemptOutcome, ShownError, UnreadableJob } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { stopped } from '../job/marks.js';
import { RetryRequest, retryDelayMs } from '../task/retry.js';
import { lossOf, unlikeProbe, wakingProbe } from '../workflow/join.js';
import type { Attempt } from './attempt.js';
import { HandlerRunner, type Reached } from './handler.js';
import { EventLoopMeter } from './health.js';
import { InternalJobs } from './internal-jobs.js';
import type { ExecutorParts } from './parts.js';
import {
  activeJobOf,
  begun,
  Isolation,
  isPoison,
  isSuspicious,
  lossesOf,
  poisonError,
  refused,
  shared,
  timesAlone,
  withLosses,
} from './poison.js';
import { ChainEnded, EndChain, ProbeEnd, Snooze, WaitForChildren } from './signals.js';
import { leaveTrace } from './tracing.js';

/** How long a job goes back to its queue when the store does not answer what the job needs. */
const UNREACHABLE_RETURN_MS = 5_000;
/** The wait before a job looks again that its handler has put back, if it says nothing else. */
const UNCOUNTED_RETURN_MS = 1000;
/** A job may add children several times, and each time they may have ended before it can wait for them. */
const MAX_REFUSED_WAITS = 5;
/** How long a job goes back that does not say: a join that has enough while more is just being added below it. */
const SOON_MS = 200;

/** How long a job goes back that was held too long because another one is alone here. */
const HELD_RETURN_MS = 1000;

/**
 * One job from claim to outcome: read the envelope, complete the input from earlier steps, validate, run, validate the
 * result, and decide whether a failure is tried again. A final failure is recorded with the job first.
 */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #steps: InternalJobs;
  readonly #handling: HandlerRunner;
  readonly #isolation: Isolation;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#steps = new InternalJobs(parts);
    this.#handling = new HandlerRunner(parts, this.#steps);
    this.#isolation = new Isolation(parts.runtime.clock);
  }

  /** The same, for one worker. */
  forWorker(
    parts: Pick<ExecutorParts, 'children' | 'maxLostStarts' | 'lockDurationMs' | 'activity'>,
  ): Executor {
    return new Executor({ ...this.#parts, ...parts });
  }

  async execute(job: ActiveJob): Promise<AttemptOutcome> {
    const { runtime, sealer, activity } = this.#parts;
    const { observer } = runtime;
    const active = activity?.begin(job);
    let outcome: AttemptOutcome | undefined;
    let envelope: Envelope | undefined;
    let attempt: Attempt | undefined;
    let isCounted = false;
    const begun = (own: Attempt) => {
      attempt = own;
    };
    // One function, and only what takes time is awaited: each promise more costs what checking a small input does.
    try {
      try {
        const content = decodeEnvelope(job.id, job.data);
        envelope = content;
        let reached: Reached | undefined;
        if (job.queue !== INTERNAL_QUEUE) {
          const suspicious = job.stalls > 0 ? await this.#afterLoss(job, content) : undefined;
          reached = suspicious?.reached;
          if (suspicious?.isAlone !== true) {
            const turn = this.#isolation.enter();
            if (turn !== undefined && !(await turn)) throw new Snooze(HELD_RETURN_MS);
            isCounted = true;
          }
        }
        // Before its handler reads anything: a call that is taken for this one meanwhile is seen by it.
        if (content.uniqueUntilStarted) await job.endUniqueness();
        const value = await (observer === undefined
          ? this.#run(job, content, begun, reached)
          : observer.attempt(job, () => this.#run(job, content, begun, reached)));
        const kept = content.ignoreResult ? null : value;
        const stored = sealer.isActive ? await this.#sealedResult(job, kept) : kept;
        if (attempt !== undefined) {
          const ending = this.#succeeded(attempt, value);
          if (ending !== undefined) await ending;
          const leaving = leaveTrace(job, content, attempt);
          if (leaving !== undefined) await leaving;
          const { mask } = attempt.reports;
          activity?.gave(job, () => mask.value(value));
        }
        outcome = { kind: 'completed', value: stored };
      } catch (thrown) {
        outcome = await this.#withoutResult(job, envelope, attempt, thrown);
      }
      return outcome;
    } finally {
      if (isCounted) this.#isolation.leave();
      if (active !== undefined) activity?.end(active, outcome);
    }
  }

  /** The outcome of an attempt that has thrown. */
  async #withoutResult(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    thrown: unknown,
  ): Promise<AttemptOutcome> {
    try {
      return (
        (await this.#otherEnd(job, envelope, attempt, thrown)) ??
        (await this.#failed(job, envelope, attempt, toError(thrown)))
      );
    } catch (error) {
      // Noticed while the outcome was noted with the job: another worker decides about it.
      if (error instanceof LockLostError) return { kind: 'lost' };
      throw error;
    }
  }

  /**
   * Lets a job start that the store has put back: alone, if it was lost several times.
   * @throws {PoisonJobError} if it ended its worker too often while it was alone.
   */
  async #afterLoss(job: ActiveJob, content: Envelope): Promise<{ isAlone: boolean; reached: Reached }> {
    const { clock } = this.#parts.runtime;
    const now = clock.now();
    const losses = lossesOf(content.lost, job, now);
    if (isPoison(losses, this.#parts.maxLostStarts)) await this.#refusePoison(job, now);
    if (!isSuspicious(losses)) {
      const reached = () => noteBegun(job, now, () => false);
      return { isAlone: false, reached };
    }
    const { aloneMs, drainMs } = timesAlone(losses);
    const alone = await this.#isolation.alone(drainMs);
    if (alone === undefined) {
      await job.change(({ lost }) =>
        lost !== undefined && (lost.begun === undefined || lost.begun.start >= job.starts)
          ? undefined
          : { lost: withLosses(lossesOf(lost, job, now)) },
      );
      throw new Snooze();
    }
    const meter = new EventLoopMeter();
    const { lockDurationMs = 0 } = this.#parts;
    // A worker that lives, and was silent while nothing but this job ran there, was silenced by it.
    job.chargeLossIf(() => meter.take().delayMs > lockDurationMs / 2);
    const share = () => job.change(({ lost }) => shared(lost, job));
    const timer = clock.setDeadline(() => {
      const stored = share().catch(() => {}); // then a death that comes now counts once too often
      void stored.then(() => alone.share());
    }, aloneMs);
    // Only then can a death no longer be the job's.
    job.onceStored(() => {
      clock.clearTimeout(timer);
      meter.stop();
      alone.end();
    });
    const reached = async () => {
      await noteBegun(job, now, () => alone.isAlone);
      if (!alone.isAlone) await share();
    };
    return { isAlone: true, reached };
  }

  /** @throws {PoisonJobError} unless the worker of a loss has said meanwhile that it lives. */
  async #refusePoison(job: ActiveJob, now: number): Promise<void> {
    let fatal: LostStart[] | undefined;
    await job.change(({ lost }) => {
      const losses = lossesOf(lost, job, now);
      fatal = isPoison(losses, this.#parts.maxLostStarts) ? losses : undefined;
      return fatal && { lost: refused(fatal, job) };
    });
    if (fatal !== undefined) throw poisonError(job.name, fatal);
  }

  /** The outcome of what has neither a result of its own nor failed; undefined for a failure. */
  async #otherEnd(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    thrown: unknown,
  ): Promise<AttemptOutcome | undefined> {
    if (thrown instanceof WaitForChildren) {
      // It has children to wait for and the store knows of none: that does not change by asking again.
      if (job.refusedWaits >= MAX_REFUSED_WAITS)
        return this.#failed(job, envelope, attempt, new UpstreamFailedError(lossOf(job.id)));
      await attempt?.reports.end();
      return { kind: 'waiting', ...(thrown.seen !== undefined && { seen: thrown.seen }) };
    }
    if (thrown instanceof LockLostError) {
      await attempt?.reports.end();
      return { kind: 'lost' };
    }
    if (thrown instanceof WorkerClosedError) {
      await attempt?.reports.end();
      return { kind: 'returned', delayMs: 0 };
    }
    if (thrown instanceof Snooze) return { kind: 'returned', delayMs: thrown.delayMs ?? SOON_MS };
    if (thrown instanceof ProbeEnd)
      return { kind: 'failed', error: { name: 'ProbeEnd', message: thrown.reason, stack: undefined } };
    if (thrown instanceof ChainEnded) {
      if (thrown.own === undefined && envelope?.revoked === undefined) await job.save({ skipped: true });
      return { kind: 'completed', value: await this.#sealedResult(job, thrown.result) };
    }
    if (thrown instanceof EndChain && envelope !== undefined) {
      const by = pathOf(envelope.run ?? job.id, job.id);
      const value = await this.#sealedResult(job, stopped(thrown.chain, by, thrown.value));
      if (attempt !== undefined) {
        await this.#succeeded(attempt, thrown.value);
        await leaveTrace(job, envelope, attempt);
      }
      return { kind: 'completed', value };
    }
    return undefined;
  }

  /** Lets jobs go back that wait for their turn here: their worker goes. */
  close(): void {
    this.#isolation.close();
  }

  /** Starts a job again that waits for its children, by a child that fails at once. */
  async wake(job: ActiveJob): Promise<void> {
    const { run = job.id } = decodeEnvelope(job.id, job.data);
    const path = pathOf(run, job.id);
    await this.#parts.store.addChildren(run, { path, queue: job.queue }, [wakingProbe(path)]);
  }

  /** The result of one attempt at a job that no store holds. @throws what the handler throws. */
  async perform(job: ActiveJob): Promise<unknown> {
    return this.#run(job, decodeEnvelope(job.id, job.data), () => {});
  }

  #sealedResult(job: ActiveJob, value: unknown): Promise<unknown> {
    return this.#parts.sealer.seal(value, { subject: 'result', id: job.id, task: '' });
  }

  /** Tells of a success. Gives a promise to wait for if that takes a while. */
  #succeeded(attempt: Attempt, result: unknown): Promise<unknown> | undefined {
    const { task, context, reports } = attempt;
    if (!this.#handling.hasHooks(task)) return reports.end();
    return this.#handling
      .hook(attempt, (hooks) => hooks.success?.(context, result))
      .then(() => this.#handling.hook(attempt, (hooks) => hooks.always?.(context)))
      .then(() => reports.end());
  }

  async #failed(
    job: ActiveJob,
    envelope: Envelope | undefined,
    attempt: Attempt | undefined,
    error: Error,
  ): Promise<AttemptOutcome> {
    if (this.#parts.store.isOutage(error)) {
      await attempt?.reports.end();
      // W6: an outage of the store is not charged to the job.
      return { kind: 'returned', delayMs: UNREACHABLE_RETURN_MS };
    }
    if (error instanceof RetryRequest && !error.isCounted) {
      if (attempt !== undefined) {
        await this.#handling.hook(attempt, (hooks) => hooks.always?.(attempt.context));
        await attempt.reports.end();
      }
      return { kind: 'returned', delayMs: error.delayMs ?? UNCOUNTED_RETURN_MS };
    }
    const delayMs = this.#retryDelayMs(job, error);
    const observed = attempt ?? this.#handling.unstarted(job, envelope, error);
    if (observed !== undefined) await this.#handling.failed(observed, error, delayMs === undefined);
    const origin = this.#originOf(job, attempt, error);
    const shown = this.#shown(origin);
    const isUpstream = error instanceof UpstreamFailedError;
    if (delayMs !== undefined) return { kind: 'retry', delayMs, error: shown };
    if (envelope !== undefined) await this.#saveFailure(job, origin, envelope.run && attempt?.trace);
    return { kind: 'failed', error: shown, ...(isUpstream && { isUpstream }) };
  }

  /** Calls the hooks for a job that the store itself could not read, and has failed. */
  async unreadable(unreadable: UnreadableJob, error: Error): Promise<void> {
    const attempt = this.#handling.unstarted(activeJobOf(unreadable), undefined, error);
    if (attempt !== undefined) await this.#handling.failed(attempt, error, true);
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
      onError(new Error(`what decides about retries of task "${job.name}" threw ${toError(thrown).name}`));
      return undefined;
    }
  }

  async #saveFailure(job: ActiveJob, origin: FailureOrigin, trace: string | undefined): Promise<void> {
    const { sealer, onError } = this.#parts;
    try {
      // It climbs through a run under the id of the job that failed first.
      const context = { subject: 'failure', id: origin.jobId, task: '' } as const;
      const error = await sealer.seal(origin.error, context);
      const failure = { ...origin, error: error as FailureOrigin['error'] }; // or its sealed form, opened where it is read
      await job.save({ failure, ...(trace !== undefined && { trace }) });
    } catch (cause) {
      if (cause instanceof LockLostError) throw cause;
      // The failure itself is still committed, with its message.
      onError(toError(cause));
    }
  }

  #originOf(job: ActiveJob, attempt: Attempt | undefined, error: Error): FailureOrigin {
    if (error instanceof UpstreamFailedError) return error.origin;
    const mask = attempt?.reports.mask ?? NO_MASK;
    // A fan-out may find that its value does not fit a member, and a collected list that it cannot be made flat.
    const isInternal = job.queue === INTERNAL_QUEUE && error instanceof ValidationError;
    return {
      task: isInternal ? error.task : job.name,
      jobId: job.id,
      attempts: job.attempt,
      ...stateOf(error),
      ...(attempt?.item !== undefined && { index: attempt.item }),
      error: mask.error(recordError(error)),
    };
  }

  #shown({ error }: FailureOrigin): ShownError {
    if (!this.#parts.sealer.isActive)
      return { name: error.name, message: unlikeProbe(error.message), stack: error.stack };
    return { name: error.name, message: `${error.name} (encoded with the job)`, stack: undefined };
  }

  #run(
    job: ActiveJob,
    envelope: Envelope,
    begun: (attempt: Attempt) => void,
    reached?: Reached,
  ): Promise<unknown> {
    return job.queue === INTERNAL_QUEUE
      ? this.#steps.run(job, envelope)
      : this.#handling.handle(job, envelope, begun, reached);
  }
}

/**
 * Notes that the handler of a job is called next.
 * @throws {LockLostError} if the job was taken meanwhile: what the later start has noted must stay.
 */
async function noteBegun(job: ActiveJob, now: number, isAlone: () => boolean): Promise<void> {
  job.signal.throwIfAborted();
  await job.change(({ lost }) =>
    (lost?.begun?.start ?? 0) > job.starts
      ? undefined
      : { lost: begun(lossesOf(lost, job, now), job, isAlone()) },
  );
  job.signal.throwIfAborted();
}

function stateOf(error: Error): Pick<FailureOrigin, 'state'> {
  if (error instanceof ExpiredError) return { state: 'expired' };
  if (error instanceof SkippedError) return { state: 'skipped' };
  return error instanceof RevokedError ? { state: 'revoked' } : {};
}
