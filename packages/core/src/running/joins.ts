/** The jobs that give the value of several others, or of one that may fail. */
import { terminateMarked } from '../bullmq/control.js';
import { CorruptJobError, RevokedError, SkippedError, UpstreamFailedError } from '../errors.js';
import { type Children, type Gathered, gather, readMembers, toldCount } from '../flow/gather.js';
import { fill } from '../flow/input.js';
import { linked } from '../flow/links.js';
import { gatherNeeded, PROBE } from '../flow/needed.js';
import { INTERNAL_QUEUE, jobIdOf, type Source } from '../flow/node.js';
import { isInside, pathOf } from '../flow/path.js';
import { prepared } from '../flow/prepare.js';
import { openTree } from '../flow/seal.js';
import { recordOf } from '../tasks/failure-record.js';
import type { FailureRecord } from '../tasks/options.js';
import type { Envelope } from '../wire/envelope.js';
import { recordError } from '../wire/error-record.js';
import { isStopped, membersReference, referredMembers } from '../wire/marks.js';
import { isPlainObject } from '../wire/plain-object.js';
import { sendCallbacks } from './callbacks.js';
import { childrenOf } from './children.js';
import type { ActiveJob, FailedChild } from './job.js';
import { addMembers } from './members.js';
import type { ExecutorParts } from './parts.js';
import { ComeBack, ProbeEnd, Skip, WaitForChildren } from './signals.js';
import { linksFor } from './tracing.js';

/** How long a join goes back that has enough while more is just being added below it: longer each time. */
const SOONEST_MS = 200;
const LATEST_MS = 2000;

/** A job of a run, with what it waits for. */
interface Joining {
  readonly run: string;
  readonly after: Source;
}

export class Joins {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  /** The value that the job's children give. @throws {UpstreamFailedError} if one has failed. */
  async valueOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { run, after } = joiningOf(job, envelope);
    return this.#settled(job, await gather({ id: job.id, run }, childrenOf(this.#parts, job), after));
  }

  /** The same for a run or a group; what is to follow it is sent. */
  async collect(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const children = childrenOf(this.#parts, job);
    try {
      const value = await this.unlessRevoked(job, envelope, this.#joined(job, envelope, children));
      if (envelope.callbacks !== undefined) {
        const whole = await this.#whole(job, envelope, children, value);
        await sendCallbacks(this.#parts, job, envelope, { ok: true, value: whole });
      }
      return value;
    } catch (error) {
      if (error instanceof Skip && error.own !== undefined)
        await sendCallbacks(this.#parts, job, envelope, { ok: true, value: error.own.value });
      if (error instanceof UpstreamFailedError) {
        await this.#cancelPending(job, envelope);
        const record = await recordWithAll(error, envelope, children);
        await sendCallbacks(this.#parts, job, envelope, {
          ok: false,
          error: record,
          state: error.origin.state,
        });
      }
      throw error;
    }
  }

  /** The value of what has not been revoked: else it ends as such, whatever those of its steps gave that ran. */
  async unlessRevoked(
    job: ActiveJob,
    { revoked, skipped, alone }: Envelope,
    value: Promise<unknown>,
  ): Promise<unknown> {
    try {
      const given = await value;
      if (revoked === undefined || alone) return given;
    } catch (thrown) {
      const isOver = thrown instanceof UpstreamFailedError || thrown instanceof Skip;
      const isTold = thrown instanceof UpstreamFailedError && thrown.origin.state !== undefined;
      if (!isOver || isTold || revoked === undefined || alone) throw thrown;
    }
    const error = skipped
      ? new SkippedError('Its group has its outcome without it.')
      : new RevokedError('It was revoked before it had ended.');
    const state = skipped ? 'skipped' : 'revoked';
    throw new UpstreamFailedError({ task: job.name, jobId: job.id, state, error: recordError(error) });
  }

  /** The end of some members of a large group. */
  async slice(job: ActiveJob, envelope: Envelope): Promise<null> {
    await this.valueOf(job, envelope);
    return null;
  }

  /** Ends as a failure, whatever its member has done, which starts the join. */
  async probe(job: ActiveJob, envelope: Envelope): Promise<never> {
    if (envelope.after === undefined) throw new ProbeEnd(PROBE.again);
    await this.valueOf(job, envelope);
    throw new ProbeEnd(PROBE.won);
  }

  /** The value of a step, or of another one that is added once the step has failed. */
  async fallback(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { run, after } = joiningOf(job, envelope);
    const { expand, headers, tags, revoked } = envelope;
    const other = expand !== undefined && 'members' in expand ? expand.members[0] : undefined;
    if (expand === undefined || other === undefined)
      throw new CorruptJobError(job.id, 'a fallback without a step');
    const children = childrenOf(this.#parts, job);
    const gatherer = { id: job.id, run };
    const otherId = jobIdOf(run, other.path);
    const failed = await children.failed();
    const last = failed.find(({ id }) => id === otherId);
    if (last !== undefined) throw new UpstreamFailedError(await children.origin(last));
    if ((await children.results()).has(otherId)) {
      return this.#settled(job, await gather(gatherer, children, { step: other.path }));
    }
    try {
      return this.#settled(job, await gather(gatherer, children, after));
    } catch (error) {
      if (!(error instanceof UpstreamFailedError) || revoked !== undefined) throw error;
      // What has failed before the step is no failure of the step.
      if (!isInside(pathOf(run, job.id), pathOf(run, error.origin.jobId))) throw error;
      const { sealer, runtime } = this.#parts;
      const filled = fill(await openTree(sealer, run, other), recordOf(error.origin));
      const links = await linksFor(this.#parts, job, envelope);
      const added = prepared(linked(filled, links), {
        now: runtime.clock.now(),
        headers: headers ?? {},
        ...(tags !== undefined && { tags }),
      });
      await addMembers(this.#parts, job, { run, parent: expand.parent, members: [added] });
      throw new WaitForChildren();
    }
  }

  async #joined(job: ActiveJob, envelope: Envelope, children: Children): Promise<unknown> {
    const { run, after } = joiningOf(job, envelope);
    const gatherer = { id: job.id, run };
    const { join } = envelope;
    if (join?.need === undefined) {
      const long = await longList(children, run, after);
      if (long === undefined) return this.#settled(job, await gather(gatherer, children, after));
      // The results stay where they are, or this one would be as long as the group.
      this.#settled(job, await gather(gatherer, children, { ...after, ignored: true }));
      return membersReference(long);
    }
    let gathered = await gatherNeeded(gatherer, children, after, join);
    if (gathered.kind === 'later' && (await this.#hasStoppedAdding(run, after)))
      gathered = await gatherNeeded(gatherer, childrenOf(this.#parts, job), after, join, { isFed: true });
    if (gathered.kind === 'value') {
      await this.#cancelPending(job, envelope);
      await this.#parts.store.detachPending(job.queue, job.id);
    }
    return this.#settled(job, gathered);
  }

  /** Skips the members that have not ended, if the group is to; those that run, only if it says so. */
  async #cancelPending({ queue, id }: ActiveJob, { join }: Envelope): Promise<void> {
    if (!join?.cancel) return;
    const { store, runtime } = this.#parts;
    const marked = await store.skipPending(queue, id, runtime.clock.now());
    if (join.abort) await terminateMarked(store, marked, { skipped: true });
  }

  /** The value, with the results of a large group in the place of what stands for them. */
  async #whole(job: ActiveJob, envelope: Envelope, children: Children, value: unknown): Promise<unknown> {
    const { run } = joiningOf(job, envelope);
    const members = referredMembers(value);
    return members === undefined ? value : readMembers({ id: job.id, run }, children, members);
  }

  /** Whether the job that adds members has ended or is gone: then its word may be lost, and is not waited for. */
  async #hasStoppedAdding(run: string, { via }: Source): Promise<boolean> {
    if (via === undefined) return true;
    const outcome = await this.#parts.store.outcome(INTERNAL_QUEUE, jobIdOf(run, via));
    return outcome.kind !== 'pending';
  }

  #settled(job: ActiveJob, gathered: Gathered): unknown {
    switch (gathered.kind) {
      case 'value':
        return gathered.value;
      case 'stopped':
        throw new Skip(gathered.result, gathered.own);
      case 'later':
        throw new ComeBack(Math.min(SOONEST_MS * 2 ** Math.max(job.starts - 1, 0), LATEST_MS));
      case 'waiting':
        throw new WaitForChildren(gathered.seen);
    }
  }
}

function joiningOf(job: ActiveJob, { run, after }: Envelope): Joining {
  if (run === undefined || after === undefined)
    throw new CorruptJobError(job.id, 'a step without earlier steps');
  return { run, after };
}

/** Where the members of a large group are; undefined for others. */
async function longList(children: Children, run: string, source: Source): Promise<Source | undefined> {
  if ('step' in source) return undefined;
  const { via, ...members } = source;
  const told = via === undefined ? undefined : (await children.results()).get(jobIdOf(run, via));
  if (isStopped(told)) return undefined;
  const added = isPlainObject(told) ? told : {};
  if (source.sliced !== true && added.sliced !== true) return undefined;
  return 'list' in members
    ? { ...members, count: members.count ?? toldCount(via ?? '', added), sliced: true }
    : { ...members, sliced: true };
}

/** Failures that a record names at most. */
const MAX_FAILURES = 100;

/** The failure as callbacks receive it, with those of the other members that have failed by now. */
async function recordWithAll(
  { origin }: UpstreamFailedError,
  { callbacks }: Envelope,
  children: Children,
): Promise<FailureRecord> {
  const record = recordOf(origin);
  if (callbacks?.failure === undefined && callbacks?.always === undefined) return record;
  const failures = new Map<string, FailureRecord>();
  for await (const child of failedBelow(await children.failed(), children)) {
    const each = recordOf(await children.origin(child));
    failures.set(each.jobId, each);
    if (failures.size === MAX_FAILURES) break;
  }
  return failures.size < 2 ? record : { ...record, failures: [...failures.values()] };
}

/** The failed ones, with those that internal jobs among them have waited for in their places. */
async function* failedBelow(failed: readonly FailedChild[], children: Children): AsyncGenerator<FailedChild> {
  for (const child of failed) {
    if (child.reason === PROBE.won || child.reason === PROBE.again) continue;
    const inner = child.queue === INTERNAL_QUEUE ? await children.failed(child.id) : [];
    if (inner.length === 0) yield child;
    else yield* failedBelow(inner, children);
  }
}
