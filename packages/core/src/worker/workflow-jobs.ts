/**
 * Runs the internal jobs of a workflow: joins, slices, fallbacks and fan-outs. The decisions are pure functions in
 * `workflow/`; this module reads the children, adds jobs and sends callbacks.
 */

import { CorruptJobError } from '../base/errors.js';
import { RevokedError, SkippedError, UpstreamFailedError } from '../base/failures.js';
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
import { jobOutcomeOf } from '../store/results.js';
import { detachPending, skipPending } from '../store/revoke.js';
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
import { childrenOfHeldJob, sendCallbacks } from './callbacks.js';
import { ChainEnded, ProbeEnd, Snooze, WaitForChildren } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';
import { addMembers } from './flow-changes.js';
import { linksFor } from './tracing.js';

/** Delay of a join that has enough members while more are being added: it doubles with each start. */
const FIRST_SNOOZE_MS = 200;
const LONGEST_SNOOZE_MS = 2000;

/** A job of a workflow run and the steps that it waits for. */
interface WaitingStep {
  readonly run: string;
  readonly after: Source;
}

export class JoinRunner {
  readonly #dependencies: ExecutorDependencies;

  constructor(dependencies: ExecutorDependencies) {
    this.#dependencies = dependencies;
  }

  /** Returns the combined value of the job's children. @throws {UpstreamFailedError} if one has failed. */
  async valueOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { run, after } = waitingStepOf(job, envelope);
    return this.#settled(
      job,
      await collectInputs({ id: job.id, run }, childrenOfHeldJob(this.#dependencies, job), after),
    );
  }

  /** Returns the value of the job's children, with a reference to the results of a large group in place of a copy. */
  unresolvedValueOf(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    return this.#joined(job, envelope, childrenOfHeldJob(this.#dependencies, job));
  }

  /** Returns the value of a workflow run or a group, and sends its callbacks. */
  async collect(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const children = childrenOfHeldJob(this.#dependencies, job);
    try {
      const value = await this.valueUnlessRevoked(job, envelope, this.#joined(job, envelope, children));
      if (envelope.callbacks !== undefined) {
        const whole = await this.#whole(job, envelope, children, value);
        await sendCallbacks(this.#dependencies, job, envelope, { ok: true, value: whole });
      }
      return value;
    } catch (error) {
      if (error instanceof ChainEnded && error.own !== undefined)
        await sendCallbacks(this.#dependencies, job, envelope, { ok: true, value: error.own.value });
      if (error instanceof UpstreamFailedError) {
        await this.#cancelPending(job, envelope);
        const record = await recordWithAll(error, envelope, children);
        await sendCallbacks(this.#dependencies, job, envelope, {
          ok: false,
          error: record,
          state: error.origin.state,
        });
      }
      throw error;
    }
  }

  /** Returns the value unless the job was revoked: then it ends as revoked, whatever its steps returned. */
  async valueUnlessRevoked(
    job: ActiveJob,
    { revoked, skipped, alone }: Envelope,
    value: Promise<unknown>,
  ): Promise<unknown> {
    try {
      const result = await value;
      if (revoked === undefined || alone) return result;
    } catch (thrown) {
      const hasOutcome = thrown instanceof UpstreamFailedError || thrown instanceof ChainEnded;
      const hasState = thrown instanceof UpstreamFailedError && thrown.origin.state !== undefined;
      if (!hasOutcome || hasState || revoked === undefined || alone) throw thrown;
    }
    const error = skipped
      ? new SkippedError('The group has an outcome without this job.')
      : new RevokedError('The job was revoked before it ended.');
    const state = skipped ? 'skipped' : 'revoked';
    throw new UpstreamFailedError({ task: job.name, jobId: job.id, state, error: recordError(error) });
  }

  /** Waits for one slice of the members of a large group. */
  async slice(job: ActiveJob, envelope: Envelope): Promise<null> {
    await this.valueOf(job, envelope);
    return null;
  }

  /** Always fails once its member has ended, which starts the join. */
  async probe(job: ActiveJob, envelope: Envelope): Promise<never> {
    if (envelope.after === undefined) throw new ProbeEnd(PROBE.again);
    await this.valueOf(job, envelope);
    throw new ProbeEnd(PROBE.won);
  }

  /** Returns the value of a step. If the step failed, adds the other step and waits for it. */
  async fallback(job: ActiveJob, envelope: Envelope): Promise<unknown> {
    const { run, after } = waitingStepOf(job, envelope);
    const { expand, headers, tags, revoked } = envelope;
    const other = expand !== undefined && 'members' in expand ? expand.members[0] : undefined;
    if (expand === undefined || other === undefined)
      throw new CorruptJobError(job.id, 'a fallback without a step');
    const children = childrenOfHeldJob(this.#dependencies, job);
    const waitingJob = { id: job.id, run };
    const decision = await decideFallback(waitingJob, children, after, other.path, revoked !== undefined);
    if (decision.kind !== 'other') return this.#settled(job, decision);
    const { sealer, runtime } = this.#dependencies;
    const filled = fill(await openTree(sealer, run, other), recordOf(decision.failure));
    const links = await linksFor(this.#dependencies, job, envelope);
    const added = withSendContext(withTraceLinks(filled, links), {
      now: runtime.clock.now(),
      headers: headers ?? {},
      ...(tags !== undefined && { tags }),
    });
    await addMembers(this.#dependencies, job, { run, parent: expand.parent, members: [added] });
    throw new WaitForChildren();
  }

  async #joined(job: ActiveJob, envelope: Envelope, children: Children): Promise<unknown> {
    const { run, after } = waitingStepOf(job, envelope);
    const waitingJob = { id: job.id, run };
    const { join } = envelope;
    if (join?.need === undefined) {
      const source = await largeGroupSource(children, run, after);
      if (source === undefined) return this.#settled(job, await collectInputs(waitingJob, children, after));
      // The results stay with the members: a copy here would be as large as the group.
      this.#settled(job, await collectInputs(waitingJob, children, { ...after, ignored: true }));
      return membersReference(source);
    }
    let state = await collectNeeded(waitingJob, children, after, join);
    if (state.kind === 'later' && (await this.#hasStoppedAdding(run, after)))
      state = await collectNeeded(waitingJob, childrenOfHeldJob(this.#dependencies, job), after, join, {
        isFed: true,
      });
    if (state.kind === 'value') {
      await this.#cancelPending(job, envelope);
      await detachPending(this.#dependencies.store, job);
    }
    return this.#settled(job, state);
  }

  /** Skips the pending members if the group says so, and aborts the running ones if it says that too. */
  async #cancelPending({ queue, id }: ActiveJob, { join }: Envelope): Promise<void> {
    if (!join?.cancel) return;
    const { store, runtime } = this.#dependencies;
    const marked = await skipPending(store, { queue, id }, runtime.clock.now());
    if (join.abort) await terminateMarked(store, marked, { skipped: true });
  }

  /** Returns the value with the results of a large group in place of the reference to them. */
  async #whole(job: ActiveJob, envelope: Envelope, children: Children, value: unknown): Promise<unknown> {
    const { run } = waitingStepOf(job, envelope);
    const members = referredMembers(value);
    return members === undefined ? value : readMembers({ id: job.id, run }, children, members);
  }

  /** Whether the job that adds members has ended or is gone: its final count may be lost then. */
  async #hasStoppedAdding(run: string, { via }: Source): Promise<boolean> {
    if (via === undefined) return true;
    const outcome = await jobOutcomeOf(this.#dependencies.store, {
      queue: INTERNAL_QUEUE,
      id: jobIdOf(run, via),
    });
    return outcome.kind !== 'pending';
  }

  #settled(job: ActiveJob, state: JoinState): unknown {
    switch (state.kind) {
      case 'value':
        return state.value;
      case 'stopped':
        throw new ChainEnded(state.result, state.own);
      case 'later':
        throw new Snooze(Math.min(FIRST_SNOOZE_MS * 2 ** Math.max(job.starts - 1, 0), LONGEST_SNOOZE_MS));
      case 'waiting':
        throw new WaitForChildren(state.seen);
    }
  }
}

function waitingStepOf(job: ActiveJob, { run, after }: Envelope): WaitingStep {
  if (run === undefined || after === undefined)
    throw new CorruptJobError(job.id, 'a step without earlier steps');
  return { run, after };
}

/** Returns the source of the members of a large group; undefined for other sources. */
async function largeGroupSource(
  children: Children,
  run: string,
  source: Source,
): Promise<Source | undefined> {
  if ('step' in source) return undefined;
  const { via, ...members } = source;
  const reported = via === undefined ? undefined : (await children.results()).get(jobIdOf(run, via));
  if (isStopped(reported)) return undefined;
  const added = isPlainObject(reported) ? reported : {};
  if (source.sliced !== true && added.sliced !== true) return undefined;
  return 'list' in members
    ? { ...members, count: members.count ?? streamedCount(via ?? '', added), sliced: true }
    : { ...members, sliced: true };
}

/** Maximum number of failures in a record. */
const MAX_FAILURES = 100;

/** Returns the failure that callbacks receive, with the failures of other members so far. */
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

/** Yields the failed children, with internal jobs replaced by the failed jobs below them. */
async function* failedBelow(failed: readonly FailedChild[], children: Children): AsyncGenerator<FailedChild> {
  for (const child of failed) {
    if (child.reason === PROBE.won || child.reason === PROBE.again) continue;
    const inner = child.queue === INTERNAL_QUEUE ? await children.failed(child.id) : [];
    if (inner.length === 0) yield child;
    else yield* failedBelow(inner, children);
  }
}

/** Maximum number of spans that each job of a fan-out is linked to: they are stored with every job. */
const MEMBER_LINKS = 32;

/**
 * Adds the jobs of an expansion (fan-out, match, when) for the value of the earlier step.
 * Returns what the waiting join needs to know, such as the number of members.
 */
export async function expand(
  dependencies: ExecutorDependencies,
  joins: JoinRunner,
  job: ActiveJob,
  envelope: Envelope,
  value: unknown,
): Promise<unknown> {
  const { run, expand: stored } = envelope;
  if (run === undefined || stored === undefined)
    throw new CorruptJobError(job.id, 'a fan-out without members');
  const nodes: JobNode[] = [];
  for (const node of nodesOf(stored)) nodes.push(await openTree(dependencies.sealer, run, node));
  const expansion = withNodes(stored, nodes);
  if ('body' in expansion) throw new CorruptJobError(job.id, 'a fan-out with the body of a loop');
  const links = await linksFor(dependencies, job, envelope, MEMBER_LINKS);
  const add = (members: readonly JobNode[]) =>
    addMembers(
      dependencies,
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
    const members = membersOfEach(expansion, value, dependencies.maxMembers);
    const isSliced = members.length > SLICE;
    await add(isSliced ? sliced(expansion.list, 0, members) : members);
    return { count: members.length, ...(isSliced && { sliced: true }) };
  }
  const chosen =
    'cases' in expansion
      ? caseOfMatch(expansion, value)
      : branchOfWhen(expansion, value, await resultOfTestedStep(joins, job, envelope, expansion));
  if (chosen === undefined) return passedOn(value);
  await add([fill(chosen, value)]);
  return { taken: nodesOf(expansion).indexOf(chosen) };
}

/** Returns the result of the step that decides a `when`; undefined if it has a condition. */
async function resultOfTestedStep(
  joins: JoinRunner,
  job: ActiveJob,
  envelope: Envelope,
  { condition, tested }: WhenExpansion,
): Promise<unknown> {
  if (condition !== undefined) return undefined;
  if (tested === undefined) throw new CorruptJobError(job.id, 'a branch without a condition');
  return joins.valueOf(job, { ...envelope, after: { step: tested.step } });
}
