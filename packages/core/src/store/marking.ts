/**
 * This module marks the unended jobs of a tree as revoked or skipped, so that they do not start: those of a chain many levels
 * at a time, and those of a group many members at a time.
 */

import { isPlainObject } from '../base/text.js';
import { type Envelope, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import { isJoinRule, isSource } from '../job/tree-checks.js';
import { mergeData } from './job-options.js';
import type { ChildKinds, StoredFields } from './primitives/run-trees.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { childCounts } from './read.js';
import { endRevokedWait, isWaitJob } from './signals.js';
import { type ChildKind, childrenOf, ifBroken, type JobAccess } from './tree.js';
import { TreeRows } from './tree-rows.js';

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

/** Number of jobs that are read concurrently, and that are marked concurrently. */
const TOGETHER = 50;
/** Of so many jobs or fewer, those below them are read with the same command, as in a chain. */
const NARROW = 4;
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

/** What marking needs of a job's record. */
type Found = Pick<AnyJob, 'name' | 'data'>;

interface Visit {
  readonly below: readonly (Marked | DetachedMembers)[];
  /** Marks the job. Absent if there is nothing to mark. Returns it if it matches the mark's tag and has not ended. */
  readonly mark?: () => Promise<MarkedPlace | undefined>;
  /** Whether the job can start once it is marked, so that every job above it has to be marked before. */
  readonly canStart?: boolean;
}

const NOTHING: Visit = { below: [] };

class Marking {
  readonly #access: JobAccess;
  readonly #mark: Mark;
  /** Jobs to visit. A long chain is a deep tree, so there is no recursion. */
  readonly #stack: (Marked | DetachedMembers)[] = [];
  readonly #rows: TreeRows;
  readonly #delayed: { queue: string; job: AnyJob }[] = [];
  /** Roots that had ended before, until an unended job below them is found. */
  #endedRoots: { place: JobRef; found: Found }[] = [];

  constructor(access: JobAccess, mark: Mark) {
    this.#access = access;
    this.#mark = mark;
    this.#rows = new TreeRows(access);
  }

  async *run(roots: readonly Marked[]): AsyncGenerator<MarkedPlace> {
    this.#push(roots);
    let waiting: Visit[] = [];
    for (let places = this.#next(); places.length > 0; places = this.#next()) {
      if (places.length <= NARROW) await this.#rows.read(places);
      const visits = await Promise.all(places.map((place) => this.#visit(place)));
      const startable = visits.filter(({ canStart }) => canStart);
      waiting.push(...visits.filter(({ mark, canStart }) => mark !== undefined && !canStart));
      // Marks of jobs that wait for those below them are stored together, but before a job below them can start.
      if (startable.length > 0 || waiting.length >= TOGETHER) {
        yield* marksOf(waiting);
        yield* marksOf(startable);
        waiting = [];
      }
      for (const { below } of visits.reverse()) this.#push(below);
    }
    yield* marksOf(waiting);
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

  #visit(place: Marked): Promise<Visit> {
    const { state, fields, children } = this.#rows.take(place) ?? {};
    if (state === undefined || fields === undefined || children === undefined) return this.#visitAlone(place);
    return this.#visitRead(place, state, fields, children);
  }

  /** Visits a job that was read ahead. */
  async #visitRead(
    place: Marked,
    state: string,
    { name = '', data: text = '', finishedOn }: StoredFields,
    { unprocessed, processed, ignored }: ChildKinds,
  ): Promise<Visit> {
    if (place.hasEnded && unprocessed.length + processed.length + ignored.length === 0) return NOTHING;
    const data = jsonOf(text);
    if (!isEnvelope(data)) return NOTHING;
    const found = { name, data: data as Envelope };
    const listed = (keys: readonly string[], isEnded: boolean) =>
      keys.map((key) => ({ ...this.#access.placeOf(key), hasEnded: isEnded }));
    const ignoredKeys = ignored.map(([key]) => key);
    const below = await this.#withDetached(place, found, [
      ...listed(unprocessed, false),
      ...listed(ignoredKeys, true),
      ...listed(processed, true),
    ]);
    if (finishedOn !== undefined) return this.#ended(place, found, below);
    const waits = state === 'waiting-children';
    return { below, canStart: !waits, mark: () => this.#markOne(place, found, waits ? 'waits' : 'unread') };
  }

  async #visitAlone(place: Marked): Promise<Visit> {
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
    if (job.finishedOn !== undefined) return this.#ended(place, job, below);
    return { below, canStart: true, mark: () => this.#markOne(place, job, job) };
  }

  #ended(place: Marked, found: Found, below: Visit['below']): Visit {
    if (place.isRoot && below.length > 0) this.#endedRoots.push({ place, found });
    return { below };
  }

  async #below(
    place: JobRef,
    job: AnyJob,
    counts: Readonly<Record<ChildKind, number>>,
  ): Promise<readonly (Marked | DetachedMembers)[]> {
    const kinds = (['unprocessed', 'ignored', 'processed'] as const).filter((kind) => counts[kind] > 0);
    const below: Marked[] = [];
    for await (const { queue, id, kind } of childrenOf(this.#access, place, kinds))
      below.push({ queue, id, hasEnded: kind !== 'unprocessed' });
    return this.#withDetached(place, job, below);
  }

  async #withDetached(
    place: JobRef,
    { data }: Found,
    below: readonly Marked[],
  ): Promise<readonly (Marked | DetachedMembers)[]> {
    const known = new Set(below.map(({ id }) => id));
    const detached = await detachedMembers(this.#access, place, data, known);
    return detached === undefined ? below : [...below, detached];
  }

  /**
   * Marks a job. Returns it if it matches the mark's tag and has not ended. `read`: the job; `'waits'` if it was seen to wait
   * for those below it, as none does that equal calls are compared with.
   */
  async #markOne(
    place: JobRef,
    found: Found,
    read: AnyJob | 'waits' | 'unread',
  ): Promise<MarkedPlace | undefined> {
    const access = this.#access;
    const { queue, id } = place;
    // Code that adds jobs to an ended run looks at its root for marks too.
    const roots = this.#endedRoots;
    this.#endedRoots = [];
    for (const root of roots) await markJob(access, root.place, root.found, this.#mark);
    const data = await markJob(access, place, found, this.#mark);
    if (data === undefined) return undefined;
    const isWait = isWaitJob(queue, found.name);
    if (read === 'waits' && data === found.data && !isWait) return { queue, id, isActive: false }; // marked before
    if (isWait) await endRevokedWait(access, id, data);
    const reading = () => access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
    // Read the state after marking: a job that starts later finds the mark, and one that started before is active here.
    const [state, job] = await Promise.all([
      access.on(queue, (bull) => bull.getJobState(id)),
      typeof read === 'object' ? read : read === 'unread' ? reading() : undefined,
    ]);
    if (state === 'completed' || state === 'failed' || state === 'unknown') return undefined;
    if (read !== 'waits') await this.#release(queue, state, job);
    else if (state !== 'waiting-children') await this.#release(queue, state, await reading());
    return { queue, id, isActive: state === 'active' };
  }

  /** Lets a marked job end soon. */
  async #release(queue: string, state: string, job: AnyJob | undefined): Promise<void> {
    if (job === undefined) return;
    if (state === 'delayed') this.#delayed.push({ queue, job });
    // Otherwise an equal call would count as a duplicate of this one, and never run.
    if (job.deduplicationId !== undefined) await this.#access.on(queue, () => job.removeDeduplicationKey());
  }
}

/** Marks jobs together. Yields those that were marked, in the order of the visits. */
async function* marksOf(visits: readonly Visit[]): AsyncGenerator<MarkedPlace> {
  for (const place of await Promise.all(visits.map(({ mark }) => mark?.())))
    if (place !== undefined) yield place;
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
  { queue, id }: JobRef,
  { data }: Found,
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
