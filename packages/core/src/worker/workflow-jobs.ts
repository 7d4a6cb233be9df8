/** The jobs that give the value of several others, or of one that may fail. */

import { CorruptJobError, RevokedError, SkippedError, UpstreamFailedError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { type FailureRecord, recordError, recordOf } from '../codec/error-record.js';
import { type Envelope, withTraceLinks } from '../job/envelope.js';
import type { ActiveJob, FailedChild } from '../job/job.js';
import {
  INTERNAL_QUEUE,
  type JobNode,
  jobIdOf,
  nodesOf,
  openTree,
  SLICE,
  type Source,
  type WhenExpansion,
  withNodes,
} from '../job/job-tree.js';
import { isStopped, membersReference, passedOn, referredMembers } from '../job/marks.js';
import { terminateMarked } from '../store/control-queue.js';
import { branchOfWhen, caseOfMatch, decideFallback, membersOfEach } from '../workflow/expand.js';
import { fill } from '../workflow/input.js';
import {
  type Children,
  collectInputs,
  collectNeeded,
  type JoinState,
  PROBE,
  readMembers,
  streamedCount,
} from '../workflow/join.js';
import { sliced, withSendContext } from '../workflow/prepare.js';
import { childrenOf, sendCallbacks } from './callbacks.js';
import { addMembers } from './flow-changes.js';
import type { ExecutorParts } from './parts.js';
import { ChainEnded, ProbeEnd, Snooze, WaitForChildren } from './signals.js';
import { linksFor } from './tracing.js';

/** How long a join goes back that has enough while more is just being added below it: longer each time. */
const SOONEST_MS = 200;
const LATEST_MS = 2000;

/** A job of a run, with what it waits for. */
interface Joining {
  readonly run: string;
  readonly after: Source;
}

export class JoinRunner {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  /** The value that the job's children give. @throws {UpstreamFailedError} if one has failed. */
  async valueOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { run, after } = joiningOf(job, envelope);
    return this.#settled(job, await collectInputs({ id: job.id, run }, childrenOf(this.#parts, job), after));
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
      if (error instanceof ChainEnded && error.own !== undefined)
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
      const isOver = thrown instanceof UpstreamFailedError || thrown instanceof ChainEnded;
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
    const joining = { id: job.id, run };
    const decision = await decideFallback(joining, children, after, other.path, revoked !== undefined);
    if (decision.kind !== 'other') return this.#settled(job, decision);
    const { sealer, runtime } = this.#parts;
    const filled = fill(await openTree(sealer, run, other), recordOf(decision.failure));
    const links = await linksFor(this.#parts, job, envelope);
    const added = withSendContext(withTraceLinks(filled, links), {
      now: runtime.clock.now(),
      headers: headers ?? {},
      ...(tags !== undefined && { tags }),
    });
    await addMembers(this.#parts, job, { run, parent: expand.parent, members: [added] });
    throw new WaitForChildren();
  }

  async #joined(job: ActiveJob, envelope: Envelope, children: Children): Promise<unknown> {
    const { run, after } = joiningOf(job, envelope);
    const gatherer = { id: job.id, run };
    const { join } = envelope;
    if (join?.need === undefined) {
      const long = await longList(children, run, after);
      if (long === undefined) return this.#settled(job, await collectInputs(gatherer, children, after));
      // The results stay where they are, or this one would be as long as the group.
      this.#settled(job, await collectInputs(gatherer, children, { ...after, ignored: true }));
      return membersReference(long);
    }
    let gathered = await collectNeeded(gatherer, children, after, join);
    if (gathered.kind === 'later' && (await this.#hasStoppedAdding(run, after)))
      gathered = await collectNeeded(gatherer, childrenOf(this.#parts, job), after, join, { isFed: true });
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

  #settled(job: ActiveJob, gathered: JoinState): unknown {
    switch (gathered.kind) {
      case 'value':
        return gathered.value;
      case 'stopped':
        throw new ChainEnded(gathered.result, gathered.own);
      case 'later':
        throw new Snooze(Math.min(SOONEST_MS * 2 ** Math.max(job.starts - 1, 0), LATEST_MS));
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
    ? { ...members, count: members.count ?? streamedCount(via ?? '', added), sliced: true }
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

// The jobs that add what is known only once an earlier step has given its result.

/** Spans that each of the jobs which a fan-out adds is linked to: they are stored with every one. */
const MEMBER_LINKS = 32;

/** Adds what the job's expansion says, for this value; gives what the job that waits for it has to know. */
export async function expand(
  parts: ExecutorParts,
  joins: JoinRunner,
  job: ActiveJob,
  envelope: Envelope,
  value: unknown,
): Promise<unknown> {
  const { run, expand: stored } = envelope;
  if (run === undefined || stored === undefined)
    throw new CorruptJobError(job.id, 'a fan-out without members');
  const nodes: JobNode[] = [];
  for (const node of nodesOf(stored)) nodes.push(await openTree(parts.sealer, run, node));
  const expansion = withNodes(stored, nodes);
  const links = await linksFor(parts, job, envelope, MEMBER_LINKS);
  const add = (members: readonly JobNode[]) =>
    addMembers(
      parts,
      job,
      { run, parent: expansion.parent, members: members.map((member) => withTraceLinks(member, links)) },
      { stops: true },
    );
  if ('members' in expansion) {
    const members = expansion.members.map((member) => fill(member, value));
    const { slice } = expansion;
    await add(slice === undefined ? members : sliced(slice.list, slice.first, members));
    return expansion.passes ? passedOn(value) : { count: members.length };
  }
  if ('each' in expansion) {
    const members = membersOfEach(expansion, value, parts.maxMembers);
    const isSliced = members.length > SLICE;
    await add(isSliced ? sliced(expansion.list, 0, members) : members);
    return { count: members.length, ...(isSliced && { sliced: true }) };
  }
  const chosen =
    'cases' in expansion
      ? caseOfMatch(expansion, value)
      : branchOfWhen(expansion, value, await testedBy(joins, job, envelope, expansion));
  if (chosen === undefined) return passedOn(value);
  await add([fill(chosen, value)]);
  return { taken: nodesOf(expansion).indexOf(chosen) };
}

/** The result of the step that decides a `when`; undefined for one with a condition. */
async function testedBy(
  joins: JoinRunner,
  job: ActiveJob,
  envelope: Envelope,
  { condition, tested }: WhenExpansion,
): Promise<unknown> {
  if (condition !== undefined) return undefined;
  if (tested === undefined) throw new CorruptJobError(job.id, 'a branch without a condition');
  return joins.valueOf(job, { ...envelope, after: { step: tested.step } });
}
