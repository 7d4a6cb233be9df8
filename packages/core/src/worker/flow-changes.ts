/** How a handler changes the run that its job belongs to, while it runs. */

import { InvalidOptionError, JobStateError, RevokedError, SkippedError } from '../base/errors.js';
import { checkText } from '../base/option-checks.js';
import { observeTree } from '../client/runtime.js';
import { type Envelope, type TraceLinks, withTraceLinks } from '../job/envelope.js';
import { memberOf, pathOf, replacementAt } from '../job/ids.js';
import type { ActiveJob, JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, type Parent, relocated, tagsOf } from '../job/job-tree.js';
import { isAny, isSame, markAdded, markedTree, type Revoked, revocationOf } from '../job/revocation.js';
import { workflowOptions } from '../job/shared-options.js';
import { childrenOf } from '../store/tree.js';
import type { MemberOptions } from '../task/context.js';
import { PLAN, type Plannable, type Surroundings } from '../task/signature.js';
import { contentDigest, contentOf, EarlierMembers, keyDigest } from '../workflow/added-members.js';
import { fill } from '../workflow/input.js';
import { slicesOf, withSendContext } from '../workflow/prepare.js';
import type { ExecutorParts } from './parts.js';
import { ReplaceRequest, StopRequest } from './signals.js';

// Adding jobs below another one while the run goes on.

export interface Addition {
  readonly run: string;
  readonly parent: Parent;
  readonly members: readonly JobNode[];
}

export interface AdditionOptions {
  readonly isRepeated?: boolean;
  /** Adds nothing more once all of it would be revoked. */
  readonly stops?: boolean;
}

/**
 * Adds jobs as further children of one that has not ended. The same again, by the same job, changes nothing.
 * @throws {RevokedError} or {@link SkippedError} if it stops.
 */
export async function addMembers(
  { store, runtime }: ExecutorParts,
  job: ActiveJob,
  { run, parent, members }: Addition,
  { isRepeated = job.starts > 1, stops = false }: AdditionOptions = {},
): Promise<void> {
  const { observer, clock } = runtime;
  // A revocation of the whole marks its root; one that reaches this job only, as that of a group which has enough, the job.
  const places = [await rootOf(store, run, parent), { queue: job.queue, id: job.id }];
  const now = clock.now();
  let known = await revocationOf(store, places);
  let added: JobNode[] = [];
  for (const slice of slicesOf(members)) {
    if (stops && known.all) throw refusal(known);
    const nodes = isAny(known) ? slice.map((node) => markedTree(node, known, now)) : slice;
    await store.addChildren(run, parent, nodes, { isRepeated });
    if (observer !== undefined) for (const node of slice) observeTree(observer, run, node);
    added.push(...slice);
    // A revocation marks what it finds: what is added meanwhile is marked by whoever adds it.
    const after = await revocationOf(store, places);
    const isChanged = !isSame(after, known);
    known = after;
    // Those that an earlier try has added are as they were then.
    if (!isChanged && !(isRepeated && isAny(known))) continue;
    await markAdded(store, run, added, known, now);
    added = [];
  }
}

function refusal({ skipped }: Revoked): Error {
  return skipped
    ? new SkippedError('Its group has its outcome without what this step adds.')
    : new RevokedError('The run was revoked while this step added to it.');
}

/** The job that a revocation of the run marks: its own; or, in what has taken the place of a single call, that call. */
async function rootOf(store: ExecutorParts['store'], run: string, parent: Parent): Promise<JobRef> {
  const own = { queue: INTERNAL_QUEUE, id: run };
  if ((await store.revokedOf(own)) !== undefined) return own;
  return store.topOf({ queue: parent.queue, id: jobIdOf(run, parent.path) });
}

/** Where a member is planned before its place is known. */
const DRAFT = '+';
/** Characters of a key. */
const MAX_KEY = 1000;

/** A member that an attempt asks for. */
interface AskedMember {
  readonly content: string;
  readonly digest: string;
  /** As which one, from 0. */
  readonly call: number;
  added: Promise<void> | undefined;
}

interface Earlier {
  readonly members: EarlierMembers;
  /** What is added may be there already. */
  readonly isRepeated: boolean;
}

/** Where a job is in its group. */
interface OwnPlace {
  readonly run: string;
  readonly own: string;
  readonly group: string;
  readonly member: string;
}

/** What a context does with what its handler asks for. */
export interface FlowChanges {
  stop(value: unknown): never;
  replace(signature: unknown, input: unknown): never;
  addToGroup(signature: unknown, input: unknown, options?: MemberOptions): Promise<void>;
}

/** Where a handler runs apart from the worker, or without one. */
export const NO_CHANGES: FlowChanges = {
  stop: () => refuse('stop'),
  replace: () => refuse('replace'),
  addToGroup: async () => refuse('addToGroup'),
};

function refuse(name: string): never {
  throw new JobStateError(
    `ctx.${name} is not to be had in an isolated task: its handler runs in a process of its own.`,
  );
}

export class JobFlowChanges implements FlowChanges {
  readonly #parts: ExecutorParts;
  readonly #job: ActiveJob;
  readonly #envelope: Envelope;
  readonly #links: TraceLinks | undefined;
  /** What this attempt has asked for, by digest. */
  readonly #asked = new Map<string, AskedMember>();
  /** How often, by content. */
  readonly #occurrences = new Map<string, number>();
  /** Those that could not be added, by content. */
  readonly #failed = new Map<string, AskedMember>();
  #earlier: Promise<Earlier> | undefined;

  /** @param trace The span of the attempt, which what it adds is linked to. */
  constructor(parts: ExecutorParts, job: ActiveJob, envelope: Envelope, trace: string | undefined) {
    this.#parts = parts;
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
    const own = run === undefined ? '' : pathOf(run, this.#job.id);
    const place = memberOf(own);
    if (run === undefined || place === undefined)
      throw new JobStateError(
        `Job ${this.#job.id} is not in a group, so ctx.addToGroup has nowhere to add to.`,
      );
    const draft = fill(plannable('addToGroup', signature)[PLAN](DRAFT, this.#surroundings()), input);
    const asked = this.#ask(contentOf(draft), options);
    asked.added ??= this.#add(draft, asked, { run, own, ...place });
    try {
      await asked.added;
    } catch (error) {
      // Asked for again, it is this one: it may be there.
      asked.added = undefined;
      if (options.key === undefined) this.#failed.set(asked.content, asked);
      throw error;
    }
  }

  /** A member as the attempt asks for it; the one that it has asked for already, if that has the same key. */
  #ask(content: string, { key }: MemberOptions): AskedMember {
    const call = this.#asked.size;
    if (key !== undefined) checkText('key', key, MAX_KEY);
    const failed = key === undefined ? this.#failed.get(content) : undefined;
    if (failed !== undefined) {
      this.#failed.delete(content);
      return failed;
    }
    const occurrence = this.#occurrences.get(content) ?? 0;
    const digest = key === undefined ? contentDigest(content, occurrence) : keyDigest(key);
    const earlier = key === undefined ? undefined : this.#asked.get(digest);
    if (earlier !== undefined && earlier.content !== content)
      throw new JobStateError(
        `The handler of job ${this.#job.id} adds two different members to its group with the key "${key}". ` +
          'Give each member a key of its own, or the same task and input.',
      );
    if (earlier !== undefined) return earlier;
    if (key === undefined) this.#occurrences.set(content, occurrence + 1);
    const asked: AskedMember = { content, digest, call, added: undefined };
    this.#asked.set(digest, asked);
    return asked;
  }

  async #add(
    draft: JobNode,
    { digest, call }: AskedMember,
    { run, own, group, member }: OwnPlace,
  ): Promise<void> {
    const { parent, mayFail } = await this.#joinOf({ path: own, queue: this.#job.queue }, run, group);
    const before = `${member}+${own.slice(member.length)}+`;
    this.#earlier ??= this.#readEarlier(run, parent, before);
    const { members: earlier, isRepeated } = await this.#earlier.catch((error: unknown) => {
      this.#earlier = undefined;
      throw error;
    });
    const path = `${before}${earlier.suffixOf(digest, call)}`;
    const ready = await this.#prepared(relocated(draft, DRAFT, path));
    this.#checkUnderWay(); // another worker may have the job by now
    const members = [{ ...ready, ...(mayFail && { mayFail }) }];
    await addMembers(this.#parts, this.#job, { run, parent, members }, { isRepeated });
  }

  /** What earlier attempts have added. The first one only notes that it adds: a large group is not read for nothing. */
  async #readEarlier(run: string, parent: Parent, before: string): Promise<Earlier> {
    const isRepeated = this.#envelope.adds === true || this.#job.starts > 1;
    if (this.#envelope.adds === undefined) await this.#job.save({ adds: true });
    if (!isRepeated) return { members: new EarlierMembers(), isRepeated };
    const start = jobIdOf(run, before);
    const suffixes: string[] = [];
    const join = { queue: parent.queue, id: jobIdOf(run, parent.path) };
    for await (const { id } of childrenOf(this.#parts.store, join))
      if (id.startsWith(start)) suffixes.push(id.slice(start.length));
    return { members: new EarlierMembers(suffixes), isRepeated };
  }

  #checkUnderWay(): void {
    if (!this.#job.signal.aborted) return;
    throw new JobStateError(
      `Attempt ${this.#job.attempt} of job ${this.#job.id} is over: it cannot add to its group any more.`,
    );
  }

  /** What takes the job's place, below it. */
  async replacement({ signature, input }: ReplaceRequest): Promise<JobNode> {
    const run = this.#envelope.run ?? this.#job.id;
    const path = replacementAt(pathOf(run, this.#job.id), this.#envelope.epoch);
    return this.#prepared(fill(signature[PLAN](path, this.#surroundings()), input));
  }

  /** The workflow of the job, whose options hold for what its handler adds. */
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

  /** The node, checked, as it is added; found by its tags together with what it is added to. */
  async #prepared(filled: JobNode): Promise<JobNode> {
    const { headers = {}, tags, root, run } = this.#envelope;
    const { id, queue } = this.#job;
    const now = this.#parts.runtime.clock.now();
    await this.#parts.checks.checkTree(filled);
    const ready = withSendContext(withTraceLinks(filled, this.#links), {
      now,
      headers,
      ...(tags !== undefined && { tags }),
      content: { parent: id, root: root ?? run ?? id },
    });
    const place = run === undefined ? { queue, id } : { queue: INTERNAL_QUEUE, id: run };
    await this.#parts.tags.add(tagsOf(ready), place, now);
    return ready;
  }

  /** The job that waits for the members of a group, or for some of them, above a member. */
  async #joinOf(from: Parent, run: string, group: string): Promise<{ parent: Parent; mayFail?: true }> {
    const { store } = this.#parts;
    for (let current = from; ; ) {
      const parent = await store.parentOf(current.queue, jobIdOf(run, current.path));
      if (parent === undefined)
        throw new JobStateError(`The group of job ${this.#job.id} is gone from the store.`);
      const path = pathOf(run, parent.id);
      if (!path.startsWith(`${group}.`)) {
        const { after, join } = (await store.job(parent.queue, parent.id))?.envelope ?? {};
        if (join?.need !== undefined || (after !== undefined && 'record' in after)) {
          throw new JobStateError(
            `Job ${this.#job.id} is in a ${join?.need === undefined ? 'record of members' : 'group that needs only some members'}, which takes no more.`,
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
  throw new InvalidOptionError(option, 'a task, a signature or a composition', signature);
}
