/** This module reads a stored run as a tree of parts, the input of its graph and its counts. */

import type { Envelope } from '../../job/envelope.js';
import { adderIn, pathOf, turnAt } from '../../job/ids.js';
import type { JobRef } from '../../job/job.js';
import { type Callbacks, INTERNAL_JOB, INTERNAL_QUEUE, nodesOf, relocated } from '../../job/job-tree.js';
import { RunTreeReader } from '../../store/run-tree.js';
import type { Store } from '../../store/store.js';
import type { RunJob } from '../../store/stored-job.js';
import { CALLBACKS, callbacksOf, plannedPart } from '../../workflow/graph.js';
import { everyPart, type Follower, type GraphNode, hasEnded, type Part } from '../../workflow/graph-parts.js';
import { loopPart, waitNodeOf } from '../../workflow/graph-waits.js';
import { addsOf, type Given, LargeGroups } from './group.js';
import { adderOf, type ClassifiedChildren, classifyChildren } from './relatives.js';

export interface ReaderOptions {
  /** Whether to read callbacks of the run and its steps too. */
  readonly withCallbacks?: boolean;
}

type Content = Partial<Envelope>;

/** Reads a run repeatedly; ended parts are read only once. */
export class RunReader {
  readonly #store: Store;
  readonly #jobs: RunTreeReader;
  readonly #withCallbacks: boolean;
  readonly #groups: LargeGroups;
  /** Final parts by id, and all parts that were found to be final. */
  readonly #ended = new Map<string, Part>();
  readonly #over = new WeakSet<Part>();

  constructor(store: Store, { withCallbacks = false }: ReaderOptions = {}) {
    this.#store = store;
    this.#jobs = new RunTreeReader(store);
    this.#withCallbacks = withCallbacks;
    this.#groups = new LargeGroups(store, (place) => this.#part(place));
  }

  /** Returns the current job with all jobs that it waits for; undefined if the store does not hold it. */
  async read(place: JobRef): Promise<Part | undefined> {
    this.#groups.begin();
    this.#jobs.begin();
    return this.#stored(place, new Map());
  }

  /** Reads a part; a missing job has the state `unknown`. */
  async #part(place: JobRef, given: Given = new Map()): Promise<Part> {
    const { id, queue } = place;
    const part = this.#ended.get(id) ?? (await this.#stored(place, given));
    if (part !== undefined) return part;
    const before = [...given.values()].flatMap(({ parts }) => parts.get(id) ?? []);
    if (queue === INTERNAL_QUEUE) return { id, before };
    return { id, before, node: { id, task: 'unknown', label: 'unknown', queue, state: 'unknown' } };
  }

  async #stored(place: JobRef, given: Given): Promise<Part | undefined> {
    const standing = await this.#jobs.read(place);
    if (standing === undefined) return undefined;
    const { id } = place;
    const { state, job } = standing;
    const envelope: Content = job?.envelope ?? {};
    const children = await classifyChildren(this.#store, place, state, envelope, standing.children);
    const before = await this.#before(id, children, hasEnded(state), given);
    const { expand, run = id } = envelope;
    const isFanOut = job?.name === INTERNAL_JOB.fanOut && expand !== undefined;
    const isFallback = job?.name === INTERNAL_JOB.fallback;
    const followers = [
      ...(isFallback ? await this.#otherStep(id, state, envelope, children) : []),
      ...(await this.#replacement(id, state, envelope, children)),
      ...(this.#withCallbacks ? await this.#callbacks(id, state, envelope) : []),
    ];
    const isOpen = job?.name === INTERNAL_JOB.feed && envelope.fed === undefined && !hasEnded(state);
    const addedBy = adderIn(id);
    const bare: Part = {
      id,
      before,
      ...partNode(place, state, job),
      ...(isFanOut && { adds: await addsOf(this.#store, { ...place, run, state, expand }, given) }),
      ...(followers.length > 0 && { followers }),
      ...(isOpen && { isOpen }),
      ...(addedBy !== undefined && { addedBy }),
    };
    const part = await this.#withTurn(bare, state, envelope, children);
    // Members that a handler adds belong to the fan-out's part as long as the group has not ended.
    const mayGrow = isFanOut && [...given.values()].some((children) => !children.isOver);
    if (hasEnded(state) && this.#isOver(part) && !mayGrow) this.#ended.set(id, part);
    return part;
  }

  /** Returns the part of a loop with its last turn; other parts unchanged. */
  async #withTurn(
    part: Part,
    state: string,
    { run = part.id, expand, turns }: Content,
    children: ClassifiedChildren,
  ): Promise<Part> {
    if (expand === undefined || !('body' in expand)) return part;
    const last = turns?.begun;
    const path = pathOf(run, part.id);
    const [body, test] = nodesOf(expand).map((node) =>
      plannedPart(last === undefined ? node : relocated(node, turnAt(path, '*'), turnAt(path, last)), {
        run,
        state: notAdded(state),
      }),
    );
    if (body === undefined) return part;
    const stored = async (child: JobRef | undefined) => child && this.#part(child);
    return loopPart(part, (await stored(children.turn)) ?? body, (await stored(children.test)) ?? test);
  }

  /** Returns whether the part is final. Each step of a long chain is checked once. */
  #isOver(part: Part): boolean {
    const isOver = everyPart(part, hasPartEnded, this.#over);
    if (isOver) this.#over.add(part);
    return isOver;
  }

  /** Reads the jobs that a job waits for. Jobs that fan-outs have added are passed to the parts of the fan-outs. */
  async #before(id: string, children: ClassifiedChildren, isOver: boolean, given: Given): Promise<Part[]> {
    const [members, steps] = await Promise.all([
      this.#groups.parts(children, isOver),
      Promise.all(children.steps.map((child) => this.#part(child))),
      this.#jobs.readAhead(children.fanOuts.filter(({ id: fanOut }) => !this.#ended.has(fanOut))),
    ]);
    const parts = new Map<string, Part[]>();
    const before: Part[] = [];
    for (const part of [...members, ...steps]) {
      const adder = adderOf(part.id, children);
      if (adder === undefined) before.push(part);
      else listIn(parts, adder).push(part);
    }
    const ids = new Set(
      [...children.members, ...children.slices, ...children.steps].map((child) => child.id),
    );
    const isWhole = children.fanOuts.every(({ kind }) => kind !== 'unprocessed');
    const below: Given = new Map([...given, [id, { parts, ids, isWhole, isOver }]]);
    const fanOuts = await Promise.all(children.fanOuts.map((child) => this.#part(child, below)));
    return [...fanOuts, ...before];
  }

  /** Returns the step that runs if the first step of a fallback fails. */
  async #otherStep(
    id: string,
    state: string,
    { run = id, expand }: Content,
    children: ClassifiedChildren,
  ): Promise<Follower[]> {
    const [planned] = expand === undefined ? [] : nodesOf(expand);
    const how = { kind: 'fallback', joins: 'also' } as const;
    if (children.other !== undefined)
      return [{ part: await this.#part(children.other), ...how, chance: 'sure' }];
    if (planned === undefined) return [];
    return [{ part: plannedPart(planned, { run, state: notAdded(state) }), ...how, chance: 'none' }];
  }

  /** Returns the replacement that a handler has stored for its job. */
  async #replacement(
    id: string,
    state: string,
    { run = id, replacement }: Content,
    children: ClassifiedChildren,
  ): Promise<Follower[]> {
    if (replacement === undefined) return [];
    const part =
      children.replacement === undefined
        ? plannedPart(replacement, { run, state: notAdded(state) })
        : await this.#part(children.replacement);
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

/** Returns the node of a task or a wait; other internal jobs have none. */
function partNode(place: JobRef, state: string, job: RunJob | undefined): Pick<Part, 'node'> {
  if (place.queue !== INTERNAL_QUEUE) return { node: nodeOf(place, state, job) };
  const waiting = job && waitNodeOf(job.name, { ...place, state }, job.envelope ?? {});
  if (waiting === undefined) return {};
  const { finishedAt, error } = nodeOf(place, state, job);
  return {
    node: {
      ...waiting,
      ...(finishedAt !== undefined && { finishedAt }),
      ...(error !== undefined && { error }),
    },
  };
}

function nodeOf({ id, queue }: JobRef, state: string, job: RunJob | undefined): GraphNode {
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

/** Returns the state of planned jobs that a job in this state has not added. */
function notAdded(state: string): 'skipped' | 'pending' {
  return hasEnded(state) ? 'skipped' : 'pending';
}

/** Returns the kinds of callbacks that a job in this state has sent. */
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

/** Returns whether the jobs of a part itself have ended, without its sub-parts. */
function hasPartEnded({ node, isOpen }: Part): boolean {
  const states = node === undefined ? [] : Object.keys(node.counts ?? { [node.state]: 1 });
  return !isOpen && states.every(hasEnded);
}
