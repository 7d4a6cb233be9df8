/** Sends the members of large groups: in slices, with bounded memory, while the first of them run already. */
import type { Store } from '../bullmq/store.js';
import type { TagIndex } from '../bullmq/tag-index.js';
import { FEED_LEASE_MS, type MembersFeed } from '../flow/feed.js';
import { fill } from '../flow/input.js';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf, SLICE } from '../flow/node.js';
import { type Addition, prepared } from '../flow/prepare.js';
import { isAny, isSame, markAdded, markedTree, NOTHING_REVOKED, revocationOf } from '../flow/revocation.js';
import { sliced } from '../flow/slices.js';
import { tagsOf } from '../flow/tags.js';
import { isFinal } from '../results/state.js';
import { observeTree, type Runtime } from '../runtime.js';
import type { Fed } from '../wire/envelope.js';
import { recordError, toError } from '../wire/error-record.js';
import type { InputChecks } from './checks.js';

/** The machine's, taken at load time: a sender shows that it lives in real time. */
const { setInterval, clearInterval } = globalThis;

/** Slices that are on their way at the same time. */
const AT_ONCE = 3;

export interface FeedingParts {
  readonly store: Store;
  readonly checks: InputChecks;
  readonly runtime: Runtime;
  readonly tags: TagIndex;
}

/** Tags of members that are remembered as noted. */
const REMEMBERED = 10_000;

/** What each member is sent with. */
export interface FeedingOptions {
  readonly run: string;
  readonly input: unknown;
  readonly addition: Addition;
  readonly timeoutMs: number | undefined;
}

/**
 * Adds the members of a group of a stored run, and tells the run how many they are.
 * @throws what reading or checking a member throws; the run has failed with that then.
 */
export async function feedMembers(
  parts: FeedingParts,
  feed: MembersFeed,
  { run, input, addition, timeoutMs }: FeedingOptions,
): Promise<void> {
  const { store, checks, runtime } = parts;
  const id = jobIdOf(run, feed.feed);
  const lives = setInterval(
    () => void store.postpone(INTERNAL_QUEUE, id, FEED_LEASE_MS).catch(() => {}),
    FEED_LEASE_MS / 4,
  );
  const end = (fed: Fed) => store.endFeed(INTERNAL_QUEUE, id, fed);
  const adding = new Set<Promise<void>>();
  const noted = new Set(addition.tags);
  // The run is found by the tags of its members, too.
  const noteTags = async (nodes: readonly FlowNode[]): Promise<void> => {
    const fresh = new Set<string>();
    for (const node of nodes) for (const tag of tagsOf(node)) if (!noted.has(tag)) fresh.add(tag);
    if (fresh.size === 0) return;
    await parts.tags.add(fresh, { queue: INTERNAL_QUEUE, id: run }, runtime.clock.now());
    if (noted.size > REMEMBERED) noted.clear();
    for (const tag of fresh) noted.add(tag);
  };
  // Marks of the run; or of the feed, if only the group is not needed any more.
  const places = [
    { queue: INTERNAL_QUEUE, id: run },
    { queue: INTERNAL_QUEUE, id },
  ];
  let known = NOTHING_REVOKED;
  let count = 0;
  const addMarked = async (nodes: readonly FlowNode[]): Promise<void> => {
    const before = known;
    const now = runtime.clock.now();
    const ready = isAny(before) ? nodes.map((node) => markedTree(node, before, now)) : nodes;
    await noteTags(nodes);
    await store.addChildren(run, feed.parent, ready, { timeoutMs });
    if (runtime.observer !== undefined) for (const node of nodes) observeTree(runtime.observer, run, node);
    // A revocation marks what it finds: what is added meanwhile is marked by whoever adds it.
    known = await revocationOf(store, places);
    if (!isSame(known, before)) await markAdded(store, run, nodes, known, now);
  };
  const add = async (members: readonly FlowNode[]): Promise<void> => {
    const first = count;
    count += members.length;
    const nodes = feed.unsliced ? members : sliced(feed.list, first, members);
    const added = addMarked(nodes);
    const settled = added.finally(() => adding.delete(settled));
    settled.catch(() => {}); // told below
    adding.add(settled);
    if (adding.size >= AT_ONCE) await Promise.race(adding);
  };
  try {
    let slice: FlowNode[] = [];
    for await (const planned of feed.members()) {
      const member = prepared(fill(planned, input), addition);
      await checks.checkTree(member);
      slice.push(member);
      if (slice.length < SLICE) continue;
      await add(slice);
      slice = [];
      if (known.all || isFinal(await store.state(INTERNAL_QUEUE, run))) break; // nobody waits for more
    }
    if (slice.length > 0) await add(slice);
    await Promise.all(adding);
    await end({ count, ...(!feed.unsliced && { sliced: true }) });
  } catch (thrown) {
    await Promise.allSettled(adding);
    await end({ error: recordError(toError(thrown)) });
    throw thrown;
  } finally {
    clearInterval(lives);
  }
}
