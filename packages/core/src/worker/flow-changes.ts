/**
 * Changes of a workflow run by a running handler: `ctx.stop`, `ctx.replace` and `ctx.addToGroup`; and `addMembers`, which
 * internal jobs use too. Repeating a change adds nothing twice.
 */

import { InvalidOptionError, JobStateError } from '../base/errors.js';
import { RevokedError, SkippedError } from '../base/failures.js';
import { checkText } from '../base/option-checks.js';
import { observeTree } from '../client/runtime.js';
import { type Envelope, type TraceLinks, withTraceLinks } from '../job/envelope.js';
import { memberOf, pathOf, replacementAt } from '../job/ids.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, type Parent, relocated } from '../job/job-tree.js';
import {
  isAny,
  isSame,
  markAdded,
  markedTree,
  NOTHING_REVOKED,
  type Revoked,
  revocationOf,
  unionOf,
} from '../job/revocation.js';
import { workflowOptions } from '../job/shared-options.js';
import { addChildren } from '../store/add.js';
import { parentOf, readJob, revokedOf, topOf } from '../store/read.js';
import { marksIn } from '../store/revoke.js';
import { childrenOf } from '../store/tree.js';
import type { MemberOptions } from '../task/context.js';
import { PLAN, type Plannable, type Surroundings } from '../task/signature.js';
import { contentDigest, contentOf, EarlierMembers, keyDigest } from '../workflow/added-members.js';
import { fill } from '../workflow/input.js';
import { slicesOf, withSendContext } from '../workflow/prepare.js';
import { ReplaceRequest, StopRequest } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';

export interface MemberAddition {
  readonly run: string;
  readonly parent: Parent;
  readonly members: readonly JobNode[];
}

export interface AdditionOptions {
  readonly isRepeated?: boolean;
  /** Throws as soon as everything that is added would be revoked. */
  readonly stops?: boolean;
}

/**
 * Adds jobs as further children of a job that has not ended. Repeating it in the same job changes nothing.
 * @throws {RevokedError} or {@link SkippedError} with `stops`, if the run or the group was revoked.
 */
export async function addMembers(
  { store, runtime }: ExecutorDependencies,
  job: ActiveJob,
  { run, parent, members }: MemberAddition,
  { isRepeated = job.starts > 1, stops = false }: AdditionOptions = {},
): Promise<void> {
  const { observer, clock } = runtime;
  const now = clock.now();
  let { marked, known } = await marksOn(store, job, run, parent);
  let added: JobNode[] = [];
  for (const slice of slicesOf(members)) {
    if (stops && known.all) throw refusal(known);
    const nodes = isAny(known) ? slice.map((node) => markedTree(node, known, now)) : slice;
    await addChildren(store, run, parent, nodes, { isRepeated });
    if (observer !== undefined) for (const node of slice) observeTree(observer, run, node);
    added.push(...slice);
    // A revocation marks the jobs that exist: jobs added at the same time are marked here.
    const after = await revocationOf(marksIn(store), marked);
    const isChanged = !isSame(after, known);
    known = after;
    // Jobs that an earlier attempt added keep the marks of that time.
    if (!isChanged && !(isRepeated && isAny(known))) continue;
    await markAdded(marksIn(store), run, added, known, now);
    added = [];
  }
}

function refusal({ skipped }: Revoked): Error {
  return skipped
    ? new SkippedError('The group has an outcome without the jobs that this step adds.')
    : new RevokedError('The run was revoked while this step added jobs to it.');
}

/**
 * Returns the jobs that a revocation marks, with their marks. A revocation of the run marks its root: the run's own job, or
 * the single call that was replaced. A revocation of this job only marks the job, such as by a group with enough.
 */
async function marksOn(
  store: ExecutorDependencies['store'],
  { queue, id }: JobRef,
  run: string,
  parent: Parent,
): Promise<{ marked: JobRef[]; known: Revoked }> {
  const own = { queue, id };
  const root = { queue: INTERNAL_QUEUE, id: run };
  const [ofRoot, ofOwn = NOTHING_REVOKED] = await Promise.all([
    revokedOf(store, root),
    revokedOf(store, own),
  ]);
  if (ofRoot !== undefined) return { marked: [root, own], known: unionOf([ofRoot, ofOwn]) };
  const marked = [await topOf(store, { queue: parent.queue, id: jobIdOf(run, parent.path) }), own];
  return { marked, known: await revocationOf(marksIn(store), marked) };
}

/** Path of a member while its final path is unknown. */
const DRAFT = '+';
/** Maximum length of a key in characters. */
const MAX_KEY = 1000;

/** A member that an attempt adds. */
interface RequestedMember {
  readonly content: string;
  readonly digest: string;
  /** Number of the call of `addToGroup`, from 0. */
  readonly call: number;
  added: Promise<void> | undefined;
}

interface EarlierAdditions {
  readonly members: EarlierMembers;
  /** Whether the added members may exist already. */
  readonly isRepeated: boolean;
}

/** The position of a job in its group. */
interface GroupPosition {
  readonly run: string;
  /** Path of the job. */
  readonly path: string;
  readonly group: string;
  readonly member: string;
}

/** The changes that a context offers to its handler. */
export interface FlowChanges {
  stop(value: unknown): never;
  replace(signature: unknown, input: unknown): never;
  addToGroup(signature: unknown, input: unknown, options?: MemberOptions): Promise<void>;
}

/** Changes in a process without access to the store: all of them throw. */
export const NO_CHANGES: FlowChanges = {
  stop: () => refuse('stop'),
  replace: () => refuse('replace'),
  addToGroup: async () => refuse('addToGroup'),
};

function refuse(name: string): never {
  throw new JobStateError(`ctx.${name} is not available in an isolated task, which runs in a child process.`);
}

export class JobFlowChanges implements FlowChanges {
  readonly #dependencies: ExecutorDependencies;
  readonly #job: ActiveJob;
  readonly #envelope: Envelope;
  readonly #links: TraceLinks | undefined;
  /** Members of this attempt by digest. */
  readonly #requested = new Map<string, RequestedMember>();
  /** Number of equal members by content. */
  readonly #occurrences = new Map<string, number>();
  /** Members that could not be added, by content. */
  readonly #failed = new Map<string, RequestedMember>();
  #earlier: Promise<EarlierAdditions> | undefined;

  /** @param trace The span of the attempt, to which the added jobs are linked. */
  constructor(
    dependencies: ExecutorDependencies,
    job: ActiveJob,
    envelope: Envelope,
    trace: string | undefined,
  ) {
    this.#dependencies = dependencies;
    this.#job = job;
    this.#envelope = envelope;
    this.#links = trace === undefined ? undefined : { traces: [trace], count: 1 };
  }

  stop(value: unknown): never {
    throw new StopRequest(value);
  }

  replace(signature: unknown, input: unknown): never {
    throw new ReplaceRequest(plannable('replace', signature), input);
  }

  async addToGroup(signature: unknown, input: unknown, options: MemberOptions = {}): Promise<void> {
    const { run } = this.#envelope;
    this.#checkUnderWay();
    const path = run === undefined ? '' : pathOf(run, this.#job.id);
    const position = memberOf(path);
    if (run === undefined || position === undefined)
      throw new JobStateError(
        `Job ${this.#job.id} is not a member of a group. Call ctx.addToGroup only in a task that runs in a group.`,
      );
    const draft = fill(plannable('addToGroup', signature)[PLAN](DRAFT, this.#surroundings()), input);
    const requested = this.#request(contentOf(draft), options);
    requested.added ??= this.#add(draft, requested, { run, path, ...position });
    try {
      await requested.added;
    } catch (error) {
      // The same member may be added again, and it may exist already.
      requested.added = undefined;
      if (options.key === undefined) this.#failed.set(requested.content, requested);
      throw error;
    }
  }

  /** Returns the requested member: the earlier one if this attempt used the same key before. */
  #request(content: string, { key }: MemberOptions): RequestedMember {
    const call = this.#requested.size;
    if (key !== undefined) checkText('key', key, MAX_KEY);
    const failed = key === undefined ? this.#failed.get(content) : undefined;
    if (failed !== undefined) {
      this.#failed.delete(content);
      return failed;
    }
    const occurrence = this.#occurrences.get(content) ?? 0;
    const digest = key === undefined ? contentDigest(content, occurrence) : keyDigest(key);
    const earlier = key === undefined ? undefined : this.#requested.get(digest);
    if (earlier !== undefined && earlier.content !== content)
      throw new JobStateError(
        `The handler of job ${this.#job.id} adds two different members to its group with the key "${key}". ` +
          'Use a different key for each member, or the same task and input.',
      );
    if (earlier !== undefined) return earlier;
    if (key === undefined) this.#occurrences.set(content, occurrence + 1);
    const requested: RequestedMember = { content, digest, call, added: undefined };
    this.#requested.set(digest, requested);
    return requested;
  }

  async #add(
    draft: JobNode,
    { digest, call }: RequestedMember,
    { run, path: own, group, member }: GroupPosition,
  ): Promise<void> {
    const { parent, mayFail } = await this.#joinOf({ path: own, queue: this.#job.queue }, run, group);
    const before = `${member}+${own.slice(member.length)}+`;
    this.#earlier ??= this.#readEarlier(run, parent, before);
    const { members: earlier, isRepeated } = await this.#earlier.catch((error: unknown) => {
      this.#earlier = undefined;
      throw error;
    });
    const path = `${before}${earlier.suffixOf(digest, call)}`;
    const ready = await this.#prepare(relocated(draft, DRAFT, path));
    this.#checkUnderWay(); // another worker may hold the job now
    const members = [{ ...ready, ...(mayFail && { mayFail }) }];
    await addMembers(this.#dependencies, this.#job, { run, parent, members }, { isRepeated });
  }

  /** Reads what earlier attempts added. The first attempt only stores that it adds, because reading a large group is slow. */
  async #readEarlier(run: string, parent: Parent, before: string): Promise<EarlierAdditions> {
    const isRepeated = this.#envelope.adds === true || this.#job.starts > 1;
    if (this.#envelope.adds === undefined) await this.#job.save({ adds: true });
    if (!isRepeated) return { members: new EarlierMembers(), isRepeated };
    const start = jobIdOf(run, before);
    const suffixes: string[] = [];
    const join = { queue: parent.queue, id: jobIdOf(run, parent.path) };
    for await (const { id } of childrenOf(this.#dependencies.store, join))
      if (id.startsWith(start)) suffixes.push(id.slice(start.length));
    return { members: new EarlierMembers(suffixes), isRepeated };
  }

  #checkUnderWay(): void {
    if (!this.#job.signal.aborted) return;
    throw new JobStateError(
      `Attempt ${this.#job.attempt} of job ${this.#job.id} is over and cannot add to its group. Await ctx.addToGroup in the handler.`,
    );
  }

  /** Returns the job tree that replaces the job, as its child. */
  async replacement({ signature, input }: ReplaceRequest): Promise<JobNode> {
    const run = this.#envelope.run ?? this.#job.id;
    const path = replacementAt(pathOf(run, this.#job.id), this.#envelope.epoch);
    return this.#prepare(fill(signature[PLAN](path, this.#surroundings()), input));
  }

  /** Returns the options of the job's workflow, which apply to the added jobs. */
  #surroundings(): Surroundings {
    const { headers, shared, timeout, label, expires } = this.#envelope;
    const { queue, priority, retry } = this.#job;
    const options = workflowOptions(shared, {
      queue,
      ...(priority !== undefined && { priority }),
      ...(retry !== undefined && { retry }),
      ...(timeout !== undefined && { timeoutMs: timeout }),
      ...(label !== undefined && { displayName: label }),
      ...(expires !== undefined && { expiresAt: expires }),
    });
    return { options, headers };
  }

  /** Returns the checked node with headers, tags and links, and stores its labels with those of the run. */
  async #prepare(filled: JobNode): Promise<JobNode> {
    const { headers = {}, tags, root, run } = this.#envelope;
    const { id, queue } = this.#job;
    const now = this.#dependencies.runtime.clock.now();
    await this.#dependencies.checks.checkTree(filled);
    const ready = withSendContext(withTraceLinks(filled, this.#links), {
      now,
      headers,
      ...(tags !== undefined && { tags }),
      content: { parent: id, root: root ?? run ?? id },
    });
    const taggedJob = run === undefined ? { queue, id } : { queue: INTERNAL_QUEUE, id: run };
    const index = this.#dependencies.tags;
    await index.add(index.labelsOf(ready), taggedJob, now);
    return ready;
  }

  /** Returns the job above a member that waits for the group, or for a slice of it. */
  async #joinOf(from: Parent, run: string, group: string): Promise<{ parent: Parent; mayFail?: true }> {
    const { store } = this.#dependencies;
    for (let current = from; ; ) {
      const parent = await parentOf(store, { queue: current.queue, id: jobIdOf(run, current.path) });
      if (parent === undefined)
        throw new JobStateError(`The group of job ${this.#job.id} is missing from the store.`);
      const path = pathOf(run, parent.id);
      if (!path.startsWith(`${group}.`)) {
        const { after, join } = (await readJob(store, parent))?.envelope ?? {};
        if (join?.need !== undefined || (after !== undefined && 'record' in after)) {
          throw new JobStateError(
            `Job ${this.#job.id} is in a ${join?.need === undefined ? 'record of members' : 'group that needs only some members'}, which accepts no further members.`,
          );
        }
        const isSettled = after !== undefined && 'list' in after && after.settled;
        return { parent: { path, queue: parent.queue }, ...(isSettled && { mayFail: true }) };
      }
      current = { path, queue: parent.queue };
    }
  }
}

function plannable(option: string, signature: unknown): Plannable {
  if (typeof signature === 'object' && signature !== null && PLAN in signature) return signature as Plannable; // only signatures have it
  throw new InvalidOptionError(option, 'a task, a signature or a workflow', signature);
}
