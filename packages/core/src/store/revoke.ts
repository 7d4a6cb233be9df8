/** Keeping from starting what of a run has not ended, wherever in it that stands. */

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
import { type ChildKind, childrenOf, ifBroken, type JobAccess } from './tree.js';
import { removeTree } from './tree-removal.js';

/** How a job is kept from starting. */
export interface Mark {
  readonly now: number;
  /** It is not needed any more, rather than unwanted. */
  readonly skipped?: true;
  /** Only jobs that bear it. */
  readonly tag?: string;
}

/** A job that was marked. */
export interface MarkedPlace extends JobRef {
  /** It ran then, which a mark does not end. */
  readonly isActive: boolean;
}

/** Jobs that are looked at together. */
const TOGETHER = 50;
/** Members that are looked for, of which a join knows no more; the store may say that there are any number. */
const MAX_LEFT = 1_000_000;

/**
 * Marks what has not ended of some jobs and of all below them: it does not start any more. That may stand below what has
 * ended: a group that has failed, or has enough, leaves members behind. What waited for a time is taken up at once, so as
 * to end. Gives what was marked, a job before those that it waits for.
 */
export function markTrees(
  access: JobAccess,
  roots: readonly Marked[],
  mark: Mark,
): AsyncGenerator<MarkedPlace> {
  return new Marking(access, mark).run(roots);
}

type AnyJob = NonNullable<Awaited<ReturnType<EnvelopeQueue['getJob']>>>;

/** What is to be marked. */
export interface Marked extends JobRef {
  /** By what is known of it as a child. */
  readonly hasEnded?: boolean;
  /** Whoever adds jobs below it looks there for marks: it has one also if it has ended. */
  readonly isRoot?: boolean;
}

/** Members that a join with a rule of its own has let go once it had enough, from the `next` one on. */
interface LeftMembers {
  readonly idOf: (index: number) => string;
  readonly count: number;
  /** Those that the join still knows. */
  readonly known: ReadonlySet<string>;
  next: number;
}

interface Visit {
  readonly marked?: MarkedPlace;
  readonly below: readonly (Marked | LeftMembers)[];
}

const NOTHING: Visit = { below: [] };

class Marking {
  readonly #access: JobAccess;
  readonly #mark: Mark;
  /** A long chain is a deep tree, so nothing calls itself. */
  readonly #left: (Marked | LeftMembers)[] = [];
  readonly #delayed: { queue: string; job: AnyJob }[] = [];
  /** Those that were revoked and had ended before, until something below them is found that has not. */
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
    // Once those that they wait for are marked.
    for (const { queue, job } of this.#delayed.reverse())
      await this.#access.on(queue, () => job.promote().catch(() => {})); // a worker may have been quicker
  }

  #push(entries: readonly (Marked | LeftMembers)[]): void {
    for (const entry of entries.toReversed()) this.#left.push(entry);
  }

  #next(): Marked[] {
    const places: Marked[] = [];
    while (places.length < TOGETHER) {
      const entry = this.#left.at(-1);
      if (entry === undefined) break;
      if ('idOf' in entry) {
        const id = entry.next < entry.count ? entry.idOf(entry.next) : undefined;
        entry.next += 1;
        if (id === undefined) this.#left.pop();
        else if (!entry.known.has(id)) places.push({ queue: INTERNAL_QUEUE, id });
        continue;
      }
      this.#left.pop();
      places.push(entry);
    }
    return places;
  }

  async #visit(place: Marked): Promise<Visit> {
    const { queue, id, hasEnded } = place;
    const counting = childCounts(this.#access, place);
    if (hasEnded) {
      const { unprocessed, processed, ignored } = await counting;
      if (unprocessed + processed + ignored === 0) return NOTHING; // most have no job below them
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
  ): Promise<readonly (Marked | LeftMembers)[]> {
    const kinds = (['unprocessed', 'ignored', 'processed'] as const).filter((kind) => counts[kind] > 0);
    const below: (Marked | LeftMembers)[] = [];
    const known = new Set<string>();
    for await (const { queue, id, kind } of childrenOf(this.#access, place, kinds)) {
      below.push({ queue, id, hasEnded: kind !== 'unprocessed' });
      known.add(id);
    }
    const left = await leftMembers(this.#access, place, data, known);
    return left === undefined ? below : [...below, left];
  }

  /** Gives the place if the job is one that is meant. */
  async #markOne(queue: string, job: AnyJob): Promise<MarkedPlace | undefined> {
    const access = this.#access;
    // Whoever adds jobs to a run that has ended looks there for marks, too.
    const roots = this.#endedRoots;
    this.#endedRoots = [];
    for (const root of roots) await markJob(access, root.queue, root.job, this.#mark);
    if (!(await markJob(access, queue, job, this.#mark))) return undefined;
    const { id = '' } = job;
    // Later: one that starts after this finds the mark, and one that has started before is seen to run.
    const state = await access.on(queue, (bull) => bull.getJobState(id));
    if (state === 'completed' || state === 'failed' || state === 'unknown') return undefined;
    if (state === 'delayed') this.#delayed.push({ queue, job });
    // A call that is the same would be taken for this one, and never run.
    if (job.deduplicationId !== undefined) await access.on(queue, () => job.removeDeduplicationKey());
    return { queue, id, isActive: state === 'active' };
  }
}

/** The members that a join has let go; undefined if it lets none go. */
async function leftMembers(
  access: JobAccess,
  place: JobRef,
  { run = place.id, join, after }: Envelope,
  known: ReadonlySet<string>,
): Promise<LeftMembers | undefined> {
  if (!isJoinRule(join) || join?.need === undefined || !isSource(after)) return undefined;
  if (after === undefined || !('list' in after)) return undefined;
  const { list, via } = after;
  const count = after.count ?? (via === undefined ? 0 : await toldCount(access, place, jobIdOf(run, via)));
  return {
    idOf: (index) => jobIdOf(run, `${list}.${index}!`),
    count: Math.min(count, MAX_LEFT),
    known,
    next: 0,
  };
}

/** How many members the job that adds them has told of; 0 as long as it has not. */
async function toldCount(access: JobAccess, { queue, id }: JobRef, adder: string): Promise<number> {
  const results = await access.on(queue, (bull) => bull.getBackend().getProcessedChildrenValues(id));
  for (const [key, text] of Object.entries(results)) {
    if (access.placeOf(key).id !== adder) continue;
    const told = jsonOf(text);
    return isPlainObject(told) && Number.isSafeInteger(told.count) ? Number(told.count) : 0;
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

/** Marks one job, and says whether it is one that is meant. */
async function markJob(
  access: JobAccess,
  queue: string,
  { id = '', data }: AnyJob,
  mark: Mark,
): Promise<boolean> {
  const isMeant = mark.tag === undefined || data.tags?.includes(mark.tag) === true;
  // Of a run, what is not added yet is marked by whoever adds it.
  if (isMeant || data.run === id) {
    await access.on(queue, (bull) =>
      mergeData(bull.getBackend(), id, (now) => (isMeant ? marked(now, mark) : withTag(now, mark.tag)), {
        known: data,
      }),
    );
  }
  return isMeant;
}

function marked(data: Envelope, { now, skipped }: Mark): Envelope | undefined {
  if (data.revoked !== undefined) return undefined;
  const { skipped: _early, ...rest } = data; // that its chain had ended early says nothing now
  return { ...rest, revoked: now, ...(skipped && { skipped }) };
}

function withTag(data: Envelope, tag: string | undefined): Envelope | undefined {
  const { revokedTags = [] } = data;
  return tag === undefined || revokedTags.includes(tag)
    ? undefined
    : { ...data, revokedTags: [...revokedTags, tag] };
}

// Changing, ending and removing jobs of a store.

/** Forgets a job that has ended, and those below it, but for what still runs. False if it is not gone by this. */
export async function removeJob(access: StoreAccess, place: JobRef): Promise<boolean> {
  // The keys of a queue stand beside those of its jobs: what is no job is not touched.
  if (!(await isHeld(access, place))) return false;
  return removeTree(access, place);
}

/**
 * Marks a job, and in a run every job that is known yet and has not ended, as revoked: it does not start any more. What
 * waited for a time is taken up at once, so as to end. Gives the jobs that were marked.
 */
export async function revokeJob(access: StoreAccess, job: JobRef, mark: Mark): Promise<MarkedPlace[]> {
  const marked = new Map<string, MarkedPlace>();
  // W18: a worker that was just adding jobs, and died before it looked for marks, has added them by the second time.
  for (let pass = 0; pass < 2; pass += 1) {
    for await (const place of markTrees(access, [{ ...job, isRoot: true }], mark)) {
      const key = `${place.queue}/${place.id}`;
      const isActive = place.isActive || marked.get(key)?.isActive === true;
      marked.set(key, { ...place, isActive });
    }
    if (marked.size === 0) break; // whatever adds jobs would be among those that have not ended
  }
  return [...marked.values()];
}

/** Puts the start of a job that waits for a time off, to so long from now. */
export async function postponeJob(access: StoreAccess, { queue, id }: JobRef, ms: number): Promise<void> {
  await access.on(queue, async (bull) => {
    const job = await bull.getJob(id);
    if (await job?.isDelayed()) await job?.changeDelay(ms);
  });
}

/** Tells a feed what its sender has added, and starts it. */
export async function endFeed(access: StoreAccess, { queue, id }: JobRef, told: Fed): Promise<void> {
  const context = { subject: 'failure', id, task: '' } as const;
  const fed =
    'error' in told
      ? { error: (await access.sealer.seal(told.error, context)) as ErrorRecord } // or its sealed form
      : told;
  await access.on(queue, async (bull) => {
    const isTold = await mergeData(bull.getBackend(), id, (data) => ({ ...data, fed }));
    const job = isTold && (await bull.getJob(id));
    if (await job?.isDelayed()) await job?.promote();
  });
}

/** Marks what has not ended of the members that a job waits for as not needed any more. Gives what was marked. */
export async function skipPending(access: StoreAccess, place: JobRef, now: number): Promise<MarkedPlace[]> {
  const pending: Marked[] = [];
  // One that has failed may be a slice of the members, or a group that has left some of its own behind.
  for await (const { queue, id, kind } of childrenOf(access, place, ['unprocessed', 'ignored']))
    pending.push({ queue, id, hasEnded: kind === 'ignored' });
  const marked: MarkedPlace[] = [];
  for await (const each of markTrees(access, pending, { now, skipped: true })) marked.push(each);
  return marked;
}

/** Lets a job end without what it still waits for, which goes on by itself. */
export async function detachPending(access: StoreAccess, parent: JobRef): Promise<void> {
  for await (const child of childrenOf(access, parent, ['unprocessed'])) await detach(access, parent, child);
}

/** Lets a job end without one of those that it still waits for. */
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
