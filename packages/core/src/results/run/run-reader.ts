/** A stored run as the tree that its graph and its counts are made of. */
import { standingOf } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import type { StoredJob } from '../../bullmq/stored-job.js';
import type { JobPlace } from '../../bullmq/tree.js';
import { nodesOf } from '../../flow/expansion.js';
import { type Callbacks, INTERNAL_JOB, INTERNAL_QUEUE } from '../../flow/node.js';
import { adderIn } from '../../flow/path.js';
import type { GraphNode } from '../../graph/node.js';
import { everyPart, type Follower, type Part } from '../../graph/part.js';
import { CALLBACKS, callbacksOf, plannedPart } from '../../graph/planned.js';
import { hasEnded } from '../../graph/states.js';
import type { Envelope } from '../../wire/envelope.js';
import { addsOf, type Given } from './fan-outs.js';
import { adderOf, type Kin, kinOf } from './kin.js';
import { LargeGroups } from './large-groups.js';

export interface ReaderOptions {
  /** Read what is sent after the run, or after its steps, too. */
  readonly withCallbacks?: boolean;
}

type Content = Partial<Envelope>;

/** Reads a run, again and again: what has ended is read once. */
export class RunReader {
  readonly #store: Store;
  readonly #withCallbacks: boolean;
  readonly #groups: LargeGroups;
  /** Parts in which nothing changes any more, by their ids; and all those that were found to be like that. */
  readonly #ended = new Map<string, Part>();
  readonly #over = new WeakSet<Part>();

  constructor(store: Store, { withCallbacks = false }: ReaderOptions = {}) {
    this.#store = store;
    this.#withCallbacks = withCallbacks;
    this.#groups = new LargeGroups(store, (place) => this.#part(place));
  }

  /** The job with what it waits for, as they are now; undefined if the store does not hold it. */
  async read(place: JobPlace): Promise<Part | undefined> {
    this.#groups.begin();
    return this.#stored(place, new Map());
  }

  /** The same; one that is gone is shown as unknown. */
  async #part(place: JobPlace, given: Given = new Map()): Promise<Part> {
    const { id, queue } = place;
    const part = this.#ended.get(id) ?? (await this.#stored(place, given));
    if (part !== undefined) return part;
    const before = [...given.values()].flatMap(({ parts }) => parts.get(id) ?? []);
    if (queue === INTERNAL_QUEUE) return { id, before };
    return { id, before, node: { id, task: 'unknown', label: 'unknown', queue, state: 'unknown' } };
  }

  async #stored(place: JobPlace, given: Given): Promise<Part | undefined> {
    const standing = await standingOf(this.#store, place);
    if (standing === undefined) return undefined;
    const { id, queue } = place;
    const { state, job } = standing;
    const envelope: Content = job?.envelope ?? {};
    const kin = await kinOf(this.#store, place, state, envelope);
    const before = await this.#before(id, kin, hasEnded(state), given);
    const { expand, run = id } = envelope;
    const isFanOut = job?.name === INTERNAL_JOB.fanOut && expand !== undefined;
    const isFallback = job?.name === INTERNAL_JOB.fallback;
    const followers = [
      ...(isFallback ? await this.#otherStep(id, state, envelope, kin) : []),
      ...(await this.#replacement(id, state, envelope, kin)),
      ...(this.#withCallbacks ? await this.#callbacks(id, state, envelope) : []),
    ];
    const isOpen = job?.name === INTERNAL_JOB.feed && envelope.fed === undefined && !hasEnded(state);
    const addedBy = adderIn(id);
    const part: Part = {
      id,
      before,
      ...(queue !== INTERNAL_QUEUE && { node: nodeOf(place, state, job) }),
      ...(isFanOut && { adds: await addsOf(this.#store, { ...place, run, state, expand }, given) }),
      ...(followers.length > 0 && { followers }),
      ...(isOpen && { isOpen }),
      ...(addedBy !== undefined && { addedBy }),
    };
    // A member that a handler adds stands with what the fan-out has added, as long as the group has not ended.
    const mayGrow = isFanOut && [...given.values()].some((children) => !children.isOver);
    if (hasEnded(state) && this.#isOver(part) && !mayGrow) this.#ended.set(id, part);
    return part;
  }

  /** Whether nothing in the part changes any more. Of a long chain, each step is looked at once. */
  #isOver(part: Part): boolean {
    const isOver = everyPart(part, hasPartEnded, this.#over);
    if (isOver) this.#over.add(part);
    return isOver;
  }

  /** What a job waits for. What others of these have added is told to those. */
  async #before(id: string, kin: Kin, isOver: boolean, given: Given): Promise<Part[]> {
    const members = await this.#groups.parts(kin, isOver);
    const steps = await Promise.all(kin.steps.map((child) => this.#part(child)));
    const parts = new Map<string, Part[]>();
    const before: Part[] = [];
    for (const part of [...members, ...steps]) {
      const adder = adderOf(part.id, kin);
      if (adder === undefined) before.push(part);
      else listIn(parts, adder).push(part);
    }
    const ids = new Set([...kin.members, ...kin.slices, ...kin.steps].map((child) => child.id));
    const isWhole = kin.fanOuts.every(({ kind }) => kind !== 'unprocessed');
    const below: Given = new Map([...given, [id, { parts, ids, isWhole, isOver }]]);
    const fanOuts = await Promise.all(kin.fanOuts.map((child) => this.#part(child, below)));
    return [...fanOuts, ...before];
  }

  /** The step that runs if the one of a fallback fails. */
  async #otherStep(id: string, state: string, { run = id, expand }: Content, kin: Kin): Promise<Follower[]> {
    const [planned] = expand === undefined ? [] : nodesOf(expand);
    const how = { kind: 'fallback', joins: 'also' } as const;
    if (kin.other !== undefined) return [{ part: await this.#part(kin.other), ...how, chance: 'sure' }];
    if (planned === undefined) return [];
    return [{ part: plannedPart(planned, { run, state: notAdded(state) }), ...how, chance: 'none' }];
  }

  /** What a handler has put in the place of its job. */
  async #replacement(
    id: string,
    state: string,
    { run = id, replacement }: Content,
    kin: Kin,
  ): Promise<Follower[]> {
    if (replacement === undefined) return [];
    const part =
      kin.replacement === undefined
        ? plannedPart(replacement, { run, state: notAdded(state) })
        : await this.#part(kin.replacement);
    return [{ part, chance: 'sure', joins: 'instead' }];
  }

  async #callbacks(id: string, state: string, { callbacks }: Content): Promise<Follower[]> {
    const moments = momentsOf(state);
    return Promise.all(
      callbacksOf(id, callbacks).map(async ({ moment, node, id: callback }): Promise<Follower> => {
        const how = CALLBACKS[moment];
        const part = await this.#stored({ queue: node.queue, id: callback }, new Map());
        if (part !== undefined) return { part, ...how, chance: 'sure' };
        if (moments.includes(moment))
          return { part: plannedPart(node, { run: callback, state: 'unknown' }), ...how };
        const planned = plannedPart(node, { run: callback, state: notAdded(state) });
        return { part: planned, ...how, ...(hasEnded(state) && { chance: 'none' }) };
      }),
    );
  }
}

function nodeOf({ id, queue }: JobPlace, state: string, job: StoredJob | undefined): GraphNode {
  if (job === undefined) return { id, task: 'unknown', label: 'unknown', queue, state };
  const { name, attempts, startedAt, finishedAt, envelope, failedReason } = job;
  const isGood = state === 'completed' || state === 'skipped';
  const error = hasEnded(state) && !isGood ? (envelope?.failure?.error.message ?? failedReason) : undefined;
  return {
    id,
    task: name,
    label: envelope?.label ?? name,
    queue,
    state,
    attempts,
    ...(startedAt !== undefined && { startedAt: new Date(startedAt) }),
    ...(finishedAt !== undefined && { finishedAt: new Date(finishedAt) }),
    ...(startedAt !== undefined && finishedAt !== undefined && { durationMs: finishedAt - startedAt }),
    ...(error !== undefined && { error }),
  };
}

/** The state of what a job in this state has not added. */
function notAdded(state: string): 'skipped' | 'pending' {
  return hasEnded(state) ? 'skipped' : 'pending';
}

/** The callbacks that a job in this state has sent. */
function momentsOf(state: string): readonly (keyof Callbacks)[] {
  if (!hasEnded(state) || state === 'skipped') return [];
  if (state === 'revoked') return ['always'];
  return state === 'completed' ? ['success', 'always'] : ['failure', 'always'];
}

function listIn(lists: Map<string, Part[]>, key: string): Part[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

/** Whether all jobs of a part, without what it is made of, have ended. */
function hasPartEnded({ node, isOpen }: Part): boolean {
  const states = node === undefined ? [] : Object.keys(node.counts ?? { [node.state]: 1 });
  return !isOpen && states.every(hasEnded);
}
