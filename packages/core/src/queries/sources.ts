/** Where jobs are looked for: in the index of a tag, in a run, or in the sets of the queues. */
import type { Store } from '../bullmq/store.js';
import type { TagIndex, TagMark } from '../bullmq/tag-index.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { type Candidate, jobsOf } from './candidate.js';
import type { CursorPlace, EndedPlace, TagPlace, WalkPlace } from './cursor.js';
import { type EndedSet, endedJobs } from './ended-set.js';
import type { Filter } from './filter.js';
import { liveJobs } from './live-set.js';
import type { StoredState } from './query.js';
import { jobsBelow } from './run-walk.js';

export interface SourceParts {
  readonly store: Store;
  readonly tags: TagIndex;
  readonly now: () => number;
  /** The queues of what is looked for. */
  readonly queues: readonly string[];
  /** Whether runs are looked for, and not what is in them. */
  readonly isOfRuns: boolean;
}

/** BullMQ's sets, in the order in which jobs go through them. */
const LIVE: readonly (readonly [set: string, state: StoredState])[] = [
  ['waiting-children', 'waiting-children'],
  ['delayed', 'delayed'],
  ['waiting', 'waiting'],
  ['paused', 'waiting'],
  ['prioritized', 'waiting'],
  ['active', 'active'],
];
const ENDED: readonly (readonly [set: EndedSet, states: readonly StoredState[]])[] = [
  ['failed', ['failed', 'expired', 'revoked', 'skipped']],
  ['completed', ['completed', 'skipped']],
];

/** What may be meant by a filter, behind a place. */
export function candidates(
  parts: SourceParts,
  filter: Filter,
  from: CursorPlace | undefined,
): AsyncGenerator<Candidate> {
  if (filter.run !== undefined) return ofRun(parts, filter.run, from?.kind === 'walk' ? from : undefined);
  if (filter.tag !== undefined) return ofTag(parts, filter.tag, from?.kind === 'tag' ? from : undefined);
  return ofSets(parts, filter, from);
}

async function* ofSets(
  { store, queues }: SourceParts,
  { states, sinceMs, untilMs }: Filter,
  from: CursorPlace | undefined,
): AsyncGenerator<Candidate> {
  let resumed: CursorPlace | undefined = from;
  for (const [set, state] of LIVE) {
    if (states !== undefined && !states.has(state)) continue;
    for (const queue of queues) {
      const isHere = resumed?.kind === 'live' && resumed.set === set && resumed.queue === queue;
      if (resumed !== undefined && !isHere) continue;
      yield* liveJobs(store, queue, set, isHere && resumed?.kind === 'live' ? resumed : undefined);
      resumed = undefined;
    }
  }
  for (const [set, of] of ENDED) {
    if (states !== undefined && !of.some((state) => states.has(state))) continue;
    const place: EndedPlace | undefined =
      resumed?.kind === 'ended' && resumed.set === set ? resumed : undefined;
    if (resumed !== undefined && place === undefined) continue;
    yield* endedJobs(store, queues, set, { sinceMs, untilMs }, place);
    resumed = undefined;
  }
}

async function* ofRun(
  { store }: SourceParts,
  run: string,
  from: WalkPlace | undefined,
): AsyncGenerator<Candidate> {
  const placeAt = (path: readonly string[]): WalkPlace => ({ kind: 'walk', path });
  yield* jobsBelow(store, { queue: INTERNAL_QUEUE, id: run }, placeAt, from?.path);
}

async function* ofTag(
  { store, tags, now, isOfRuns }: SourceParts,
  tag: string,
  from: TagPlace | undefined,
): AsyncGenerator<Candidate> {
  await store.timeKnown();
  const position = from && { mark: from.mark, isBehind: from.path === undefined };
  const resumed = from?.path === undefined ? undefined : keyOf(from.mark);
  for await (const { queue, id, mark } of tags.find(tag, now(), position)) {
    const isResumed = keyOf(mark) === resumed;
    const isRun = queue === INTERNAL_QUEUE;
    const placeAt = (path?: readonly string[]): TagPlace => ({
      kind: 'tag',
      mark,
      ...(path !== undefined && { path }),
    });
    if (isRun && !isOfRuns) yield* jobsBelow(store, { queue, id }, placeAt, isResumed ? from?.path : []);
    const isMeant = isRun === isOfRuns;
    const [job] = isMeant ? await jobsOf(store, queue, [id]) : [];
    yield { job, ...(isMeant && { at: { queue, id } }), place: () => placeAt() };
  }
}

function keyOf(mark: TagMark): string {
  return 'at' in mark ? `${mark.at} ${mark.queue}/${mark.id}` : `${mark.day} ${mark.line}`;
}
