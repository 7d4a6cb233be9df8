/** This module sends the members of large groups in slices, in bounded memory, while the first members already run. */

import { clearInterval, setInterval } from '../base/real-timers.js';
import { recordError, toError } from '../codec/error-record.js';
import { type Fed, type MemberStream, STREAM_LEASE_MS } from '../job/envelope.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, SLICE } from '../job/job-tree.js';
import { isAny, isSame, markAdded, markedTree, NOTHING_REVOKED, revocationOf } from '../job/revocation.js';
import { isFinal } from '../job/states.js';
import { addChildren } from '../store/add.js';
import { jobStateOf } from '../store/read.js';
import { endFeed, marksIn, postponeJob } from '../store/revoke.js';
import type { NewJob, Store } from '../store/store.js';
import type { TagIndex } from '../store/tags.js';
import { fill } from '../workflow/input.js';
import { type Addition, sliced, withSendContext } from '../workflow/prepare.js';
import type { InputChecks } from './input-checks.js';
import { observeTree, type Runtime } from './runtime.js';

/** Maximum number of slices that are sent concurrently. */
const AT_ONCE = 3;

export interface FeedDependencies {
  readonly store: Store;
  readonly checks: InputChecks;
  readonly runtime: Runtime;
  readonly tags: TagIndex;
}

/** Maximum number of cached labels of members. */
const REMEMBERED = 10_000;

/** Common values of all members. */
export interface FeedOptions {
  readonly run: string;
  readonly input: unknown;
  readonly addition: Addition;
  readonly timeoutMs: number | undefined;
}

/**
 * Adds the members of a group of a stored run, and then stores their number with the run.
 * @throws the error of reading or checking a member; the run has failed with it then.
 */
export async function feedMembers(
  parts: FeedDependencies,
  feed: MemberStream,
  { run, input, addition, timeoutMs }: FeedOptions,
): Promise<void> {
  const { store, checks, runtime } = parts;
  const id = jobIdOf(run, feed.feed);
  const leaseTimer = setInterval(
    () => void postponeJob(store, { queue: INTERNAL_QUEUE, id }, STREAM_LEASE_MS).catch(() => {}),
    STREAM_LEASE_MS / 4,
  );
  const end = (fed: Fed) => endFeed(store, { queue: INTERNAL_QUEUE, id }, fed);
  const adding = new Set<Promise<void>>();
  const noted = new Set(addition.tags);
  // The run is also found by the tags and tasks of its members.
  const noteLabels = async (nodes: readonly JobNode[]): Promise<void> => {
    const fresh = new Set<string>();
    for (const node of nodes)
      for (const label of parts.tags.labelsOf(node)) if (!noted.has(label)) fresh.add(label);
    if (fresh.size === 0) return;
    await parts.tags.add(fresh, { queue: INTERNAL_QUEUE, id: run }, runtime.clock.now());
    if (noted.size > REMEMBERED) noted.clear();
    for (const label of fresh) noted.add(label);
  };
  // Marks of the run, or of the stream if only the group is no longer needed.
  const places = [
    { queue: INTERNAL_QUEUE, id: run },
    { queue: INTERNAL_QUEUE, id },
  ];
  let known = NOTHING_REVOKED;
  let count = 0;
  const addMarked = async (nodes: readonly JobNode[]): Promise<void> => {
    const before = known;
    const now = runtime.clock.now();
    const ready = isAny(before) ? nodes.map((node) => markedTree(node, before, now)) : nodes;
    await noteLabels(nodes);
    await addChildren(store, run, feed.parent, ready, { timeoutMs });
    if (runtime.observer !== undefined) for (const node of nodes) observeTree(runtime.observer, run, node);
    // A revocation marks only stored jobs, so the code that adds jobs concurrently must mark them.
    known = await revocationOf(marksIn(store), places);
    if (!isSame(known, before)) await markAdded(marksIn(store), run, nodes, known, now);
  };
  const add = async (members: readonly JobNode[]): Promise<void> => {
    const first = count;
    count += members.length;
    const nodes = feed.unsliced ? members : sliced(feed.list, first, members);
    const added = addMarked(nodes);
    const settled = added.finally(() => adding.delete(settled));
    settled.catch(() => {}); // thrown below
    adding.add(settled);
    if (adding.size >= AT_ONCE) await Promise.race(adding);
  };
  try {
    let slice: JobNode[] = [];
    for await (const planned of feed.members()) {
      const member = withSendContext(fill(planned, input), addition);
      await checks.checkTree(member);
      slice.push(member);
      if (slice.length < SLICE) continue;
      await add(slice);
      slice = [];
      if (known.all || isFinal(await jobStateOf(store, { queue: INTERNAL_QUEUE, id: run }))) break; // no more members are needed
    }
    if (slice.length > 0) await add(slice);
    await Promise.all(adding);
    await end({ count, ...(!feed.unsliced && { sliced: true }) });
  } catch (thrown) {
    await Promise.allSettled(adding);
    await end({ error: recordError(toError(thrown)) });
    throw thrown;
  } finally {
    clearInterval(leaseTimer);
  }
}

/** Ids of stored jobs; a duplicate has the id of the earlier job. */
type Ids = ReadonlyMap<NewJob, string>;

/** Calls that pass the middleware one by one and are stored together. */
export class Batch {
  readonly #storeAll: (jobs: readonly NewJob[]) => Promise<Ids>;
  readonly #jobs: NewJob[] = [];
  /** Each resolves once its call has passed the middleware or has failed. */
  readonly #arrivals: Promise<unknown>[] = [];
  readonly #stored: Promise<Ids>;
  #settle: (stored: Promise<Ids>) => void = () => {};

  constructor(storeAll: (jobs: readonly NewJob[]) => Promise<Ids>) {
    this.#storeAll = storeAll;
    this.#stored = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#stored.catch(() => {}); // thrown to each call
  }

  /** Adds a call. `send` passes its job to `store`, which resolves once the whole batch is stored. */
  add(send: (store: (job: NewJob) => Promise<NewJob>) => Promise<{ id: string }>): Promise<NewJob> {
    let job: NewJob | undefined;
    let hasArrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      hasArrived = resolve;
    });
    const sent = send(async (newJob) => {
      job = newJob;
      this.#jobs.push(newJob);
      hasArrived();
      const ids = await this.#stored;
      job = { ...newJob, id: ids.get(newJob) ?? newJob.id };
      return job;
    }).then(() => {
      if (job === undefined) throw new Error('middleware did not call next() for one of the calls');
      return job;
    });
    sent.catch(() => {}); // thrown by `send`, or to the caller that awaits it
    this.#arrivals.push(Promise.race([arrival, sent]));
    return sent;
  }

  /** Stores the batch once every call has arrived. @throws the error of a call that did not arrive; nothing is stored then. */
  async send(): Promise<void> {
    const stored = Promise.all(this.#arrivals).then(() => this.#storeAll(this.#jobs));
    this.#settle(stored);
    await stored;
  }
}
