/** This module revokes jobs: it marks all unended jobs of a tree, so that they do not start. It also removes and detaches jobs. */

import type { ErrorRecord } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { type Envelope, type Fed, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import type { MarkStore } from '../job/revocation.js';
import { isJoinRule, isSource } from '../job/tree-checks.js';
import type { StoreAccess } from './access.js';
import { mergeData } from './job-options.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { childCounts, isHeld, revokedOf } from './read.js';
import { endRevokedWait, isWaitJob } from './signals.js';
import { type ChildKind, childrenOf, ifBroken, type JobAccess } from './tree.js';
import { removeTree } from './tree-removal.js';

/** A revocation that is stored with a job. */
export interface Mark {
  readonly now: number;
  /** Whether the job is skipped because it is no longer needed, rather than revoked. */
  readonly skipped?: true;
  /** Mark only jobs with this tag. */
  readonly tag?: string;
}

/** A job that was marked. */
export interface MarkedPlace extends JobRef {
  /** Whether it was running; a mark does not end a running attempt. */
  readonly isActive: boolean;
}

/** Number of jobs that are read concurrently. */
const TOGETHER = 50;
/** Maximum number of detached members to look for: the stored count may be any number. */
const MAX_DETACHED = 1_000_000;

/**
 * Marks the unended jobs among these jobs and all jobs below them, so that they do not start. Unended jobs may be below
 * ended ones: a group that has failed, or has enough results, leaves members behind. Delayed jobs are promoted at once, so
 * that they end. Yields the marked jobs, a job before its children.
 */
export function markTrees(
  access: JobAccess,
  roots: readonly Marked[],
  mark: Mark,
): AsyncGenerator<MarkedPlace> {
  return new Marking(access, mark).run(roots);
}

type AnyJob = NonNullable<Awaited<ReturnType<EnvelopeQueue['getJob']>>>;

/** A job to mark. */
export interface Marked extends JobRef {
  /** Whether its parent lists it as ended. */
  readonly hasEnded?: boolean;
  /** Whether it is the root of a run. An ended root is marked too, because code that adds jobs looks there for marks. */
  readonly isRoot?: boolean;
}

/** Members that a join detached once it had enough, from index `next` on. */
interface DetachedMembers {
  readonly idOf: (index: number) => string;
  readonly count: number;
  /** Ids of members that the join still lists. */
  readonly known: ReadonlySet<string>;
  next: number;
}

interface Visit {
  readonly marked?: MarkedPlace;
  readonly below: readonly (Marked | DetachedMembers)[];
}

const NOTHING: Visit = { below: [] };

class Marking {
  readonly #access: JobAccess;
  readonly #mark: Mark;
  /** Jobs to visit. A long chain is a deep tree, so there is no recursion. */
  readonly #stack: (Marked | DetachedMembers)[] = [];
  readonly #delayed: { queue: string; job: AnyJob }[] = [];
  /** Roots that had ended before, until an unended job below them is found. */
  #endedRoots: { queue: string; job: AnyJob }[] = [];

  constructor(access: JobAccess, mark: Mark) {
    this.#access = access;
    this.#mark = mark;
  }

  async *run(roots: readonly Marked[]): AsyncGenerator<MarkedPlace> {
    this.#push(roots);
    for (let places = this.#next(); places.length > 0; places = this.#next()) {
      const visits = await Promise.all(places.map((place) => this.#visit(place)));
      for (const { marked } of visits) if (marked !== undefined) yield marked;
      for (const { below } of visits.reverse()) this.#push(below);
    }
    // Promote them after the jobs that they wait for are marked.
    for (const { queue, job } of this.#delayed.reverse())
      await this.#access.on(queue, () => job.promote().catch(() => {})); // a worker may have started it first
  }

  #push(entries: readonly (Marked | DetachedMembers)[]): void {
    for (const entry of entries.toReversed()) this.#stack.push(entry);
  }

  #next(): Marked[] {
    const places: Marked[] = [];
    while (places.length < TOGETHER) {
      const entry = this.#stack.at(-1);
      if (entry === undefined) break;
      if ('idOf' in entry) {
        const id = entry.next < entry.count ? entry.idOf(entry.next) : undefined;
        entry.next += 1;
        if (id === undefined) this.#stack.pop();
        else if (!entry.known.has(id)) places.push({ queue: INTERNAL_QUEUE, id });
        continue;
      }
      this.#stack.pop();
      places.push(entry);
    }
    return places;
  }

  async #visit(place: Marked): Promise<Visit> {
    const { queue, id, hasEnded } = place;
    const counting = childCounts(this.#access, place);
    if (hasEnded) {
      const { unprocessed, processed, ignored } = await counting;
      if (unprocessed + processed + ignored === 0) return NOTHING; // most jobs have no children
    }
    const reading = this.#access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
    const [counts, job] = await Promise.all([counting, reading]);
    if (job === undefined || !isEnvelope(job.data)) return NOTHING;
    const below = await this.#below(place, job, counts);
    if (job.finishedOn === undefined) {
      const marked = await this.#markOne(queue, job);
      return { below, ...(marked !== undefined && { marked }) };
    }
    if (place.isRoot && below.length > 0) this.#endedRoots.push({ queue, job });
    return { below };
  }

  async #below(
    place: JobRef,
    { data }: AnyJob,
    counts: Readonly<Record<ChildKind, number>>,
  ): Promise<readonly (Marked | DetachedMembers)[]> {
    const kinds = (['unprocessed', 'ignored', 'processed'] as const).filter((kind) => counts[kind] > 0);
    const below: (Marked | DetachedMembers)[] = [];
    const known = new Set<string>();
    for await (const { queue, id, kind } of childrenOf(this.#access, place, kinds)) {
      below.push({ queue, id, hasEnded: kind !== 'unprocessed' });
      known.add(id);
    }
    const detached = await detachedMembers(this.#access, place, data, known);
    return detached === undefined ? below : [...below, detached];
  }

  /** Marks a job. Returns it if it matches the mark's tag and has not ended. */
  async #markOne(queue: string, job: AnyJob): Promise<MarkedPlace | undefined> {
    const access = this.#access;
    // Code that adds jobs to an ended run looks at its root for marks too.
    const roots = this.#endedRoots;
    this.#endedRoots = [];
    for (const root of roots) await markJob(access, root.queue, root.job, this.#mark);
    const data = await markJob(access, queue, job, this.#mark);
    if (data === undefined) return undefined;
    if (isWaitJob(queue, job.name)) await endRevokedWait(access, job.id ?? '', data);
    const { id = '' } = job;
    // Read the state after marking: a job that starts later finds the mark, and one that started before is active here.
    const state = await access.on(queue, (bull) => bull.getJobState(id));
    if (state === 'completed' || state === 'failed' || state === 'unknown') return undefined;
    if (state === 'delayed') this.#delayed.push({ queue, job });
    // Otherwise an equal call would count as a duplicate of this one, and never run.
    if (job.deduplicationId !== undefined) await access.on(queue, () => job.removeDeduplicationKey());
    return { queue, id, isActive: state === 'active' };
  }
}

/** Returns the members that a join has detached; undefined if it detaches none. */
async function detachedMembers(
  access: JobAccess,
  place: JobRef,
  { run = place.id, join, after }: Envelope,
  known: ReadonlySet<string>,
): Promise<DetachedMembers | undefined> {
  if (!isJoinRule(join) || join?.need === undefined || !isSource(after)) return undefined;
  if (after === undefined || !('list' in after)) return undefined;
  const { list, via } = after;
  const count = after.count ?? (via === undefined ? 0 : await addedCount(access, place, jobIdOf(run, via)));
  return {
    idOf: (index) => jobIdOf(run, `${list}.${index}!`),
    count: Math.min(count, MAX_DETACHED),
    known,
    next: 0,
  };
}

/** Returns the number of members in the result of the job that adds them; 0 while it has none. */
async function addedCount(access: JobAccess, { queue, id }: JobRef, adder: string): Promise<number> {
  const results = await access.on(queue, (bull) => bull.getBackend().getProcessedChildrenValues(id));
  for (const [key, text] of Object.entries(results)) {
    if (access.placeOf(key).id !== adder) continue;
    const result = jsonOf(text);
    return isPlainObject(result) && Number.isSafeInteger(result.count) ? Number(result.count) : 0;
  }
  return 0;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Marks one job if it matches the tag of the mark. Returns its data after that; undefined if it does not match. */
async function markJob(
  access: JobAccess,
  queue: string,
  { id = '', data }: AnyJob,
  mark: Mark,
): Promise<Envelope | undefined> {
  const isMatch = mark.tag === undefined || data.tags?.includes(mark.tag) === true;
  // The root of a run stores the tag, so that code that adds jobs later can mark them.
  let after: Envelope | undefined;
  if (isMatch || data.run === id) {
    after = await access.on(queue, (bull) =>
      mergeData(bull.getBackend(), id, (now) => (isMatch ? marked(now, mark) : withTag(now, mark.tag)), {
        known: data,
      }),
    );
  }
  return isMatch ? (after ?? data) : undefined;
}

function marked(data: Envelope, { now, skipped }: Mark): Envelope | undefined {
  if (data.revoked !== undefined) return undefined;
  const { skipped: _early, ...rest } = data; // a revocation replaces the mark of a chain that ended early
  return { ...rest, revoked: now, ...(skipped && { skipped }) };
}

function withTag(data: Envelope, tag: string | undefined): Envelope | undefined {
  const { revokedTags = [] } = data;
  return tag === undefined || revokedTags.includes(tag)
    ? undefined
    : { ...data, revokedTags: [...revokedTags, tag] };
}

// Changing, ending and removing jobs.

/** Removes a job with all jobs below it, except running ones. Returns false if this call did not remove the job itself. */
export async function removeJob(access: StoreAccess, place: JobRef): Promise<boolean> {
  // Keys of a queue share their prefix with keys of its jobs: an id that is not a job must not remove one.
  if (!(await isHeld(access, place))) return false;
  return removeTree(access, place);
}

/**
 * Revokes a job, and in a run all unended jobs that are stored so far: they do not start. Delayed jobs are promoted at
 * once, so that they end. Returns the marked jobs.
 */
export async function revokeJob(access: StoreAccess, job: JobRef, mark: Mark): Promise<MarkedPlace[]> {
  const marked = new Map<string, MarkedPlace>();
  // W18: a second pass finds jobs of a worker that added them and died before it looked for marks.
  for (let pass = 0; pass < 2; pass += 1) {
    for await (const place of markTrees(access, [{ ...job, isRoot: true }], mark)) {
      const key = `${place.queue}/${place.id}`;
      const isActive = place.isActive || marked.get(key)?.isActive === true;
      marked.set(key, { ...place, isActive });
    }
    if (marked.size === 0) break; // a job that adds jobs would be unended and marked
  }
  return [...marked.values()];
}

/** Postpones the start of a delayed job to `ms` milliseconds from now. */
export async function postponeJob(access: StoreAccess, { queue, id }: JobRef, ms: number): Promise<void> {
  await access.on(queue, async (bull) => {
    const job = await bull.getJob(id);
    if (await job?.isDelayed()) await job?.changeDelay(ms);
  });
}

/** Stores the end of a member stream with its internal job, and starts that job. */
export async function endFeed(access: StoreAccess, { queue, id }: JobRef, end: Fed): Promise<void> {
  const context = { subject: 'failure', id, task: '' } as const;
  const fed =
    'error' in end
      ? { error: (await access.sealer.encode(end.error, context)) as ErrorRecord } // or its encoded form
      : end;
  await access.on(queue, async (bull) => {
    const merged = await mergeData(bull.getBackend(), id, (data) => ({ ...data, fed }));
    const job = merged && (await bull.getJob(id));
    if (await job?.isDelayed()) await job?.promote();
  });
}

/** Marks the unended members that a job waits for as skipped. Returns the marked jobs. */
export async function skipPending(access: StoreAccess, place: JobRef, now: number): Promise<MarkedPlace[]> {
  const pending: Marked[] = [];
  // A failed child may be a slice of the members, or a group that has left members behind.
  for await (const { queue, id, kind } of childrenOf(access, place, ['unprocessed', 'ignored']))
    pending.push({ queue, id, hasEnded: kind === 'ignored' });
  const marked: MarkedPlace[] = [];
  for await (const each of markTrees(access, pending, { now, skipped: true })) marked.push(each);
  return marked;
}

/** Lets a job end without its pending children, which continue independently. */
export async function detachPending(access: StoreAccess, parent: JobRef): Promise<void> {
  for await (const child of childrenOf(access, parent, ['unprocessed'])) await detach(access, parent, child);
}

/** Lets a job end without one of its pending children. */
export async function detach(access: StoreAccess, parent: JobRef, child: JobRef): Promise<void> {
  const above = `${access.backends.qualifiedName(parent.queue)}:${parent.id}`;
  await access.on(child.queue, (bull) => bull.getBackend().removeChildDependency(child.id, above));
}

/** Returns the marks of runs in a store, for code that adds jobs to runs (`job/revocation.ts`). */
export function marksIn(access: StoreAccess): MarkStore {
  return {
    revokedOf: (run) => revokedOf(access, run),
    revoke: (queue, id, mark) => revokeJob(access, { queue, id }, mark),
  };
}
