/** This module reads the tasks and members of a run or a call, for the methods of a handle beside its result. */

import { UnknownJobError } from '../base/errors.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { isFinal } from '../job/states.js';
import { isHeld, jobStateOf, readJob } from '../store/read.js';
import type { Store } from '../store/store.js';
import { type RunGraph, runGraph } from '../workflow/graph.js';
import type { Part } from '../workflow/graph-parts.js';
import { type RunCounts, runCountsOf } from '../workflow/graph-tally.js';
import {
  type CollectedTask,
  type GetOptions,
  type MemberOutcome,
  type PageEntry,
  type PageOptions,
  rangeOf,
} from './async-result.js';
import { EndingMembers, EndingTasks } from './run/ending.js';
import { groupOf, memberPage, queuesOf, wholeMembers } from './run/group.js';
import { taskAfter, tasksBefore } from './run/relatives.js';
import { RunReader } from './run/run-reader.js';
import { LATER, type Look, looksAt, type ResultDependencies, type Watched } from './wait.js';

/** Maximum number of children that are listed. */
const MAX_CHILDREN = 1000;

export class RunView {
  readonly #store: Store;
  readonly #job: Watched;

  constructor(store: Store, job: Watched) {
    this.#store = store;
    this.#job = job;
  }

  async graph(): Promise<RunGraph> {
    const place = await this.#place();
    const { alone, run } = (await readJob(this.#store, place))?.envelope ?? {};
    // For a call with callbacks, read the run that carries them.
    const from = alone && run !== undefined ? { queue: INTERNAL_QUEUE, id: run } : place;
    const reader = new RunReader(this.#store, { withCallbacks: true });
    return runGraph((await reader.read(from)) ?? (await this.#read(place, reader)), place.id);
  }

  async counts(): Promise<RunCounts> {
    return runCountsOf(await this.#read(await this.#place(), new RunReader(this.#store)));
  }

  async before(): Promise<JobRef[]> {
    return tasksBefore(this.#store, await this.#place(), MAX_CHILDREN);
  }

  async after(): Promise<JobRef | undefined> {
    const place = await this.#place();
    const { alone, run } = (await readJob(this.#store, place))?.envelope ?? {};
    return alone || run === undefined ? undefined : taskAfter(this.#store, place, run);
  }

  async page(options: PageOptions): Promise<PageEntry<unknown>[]> {
    const range = rangeOf(options);
    const place = await this.#place();
    const group = await groupOf(this.#store, place);
    if (group !== undefined) return memberPage(this.#store, group, range);
    const state = await jobStateOf(this.#store, place);
    const whole = isFinal(state)
      ? await wholeMembers(this.#store, place)
      : [{ index: 0, pending: true as const }];
    return whole.slice(range.offset, range.offset + range.limit);
  }

  async #read(place: JobRef, reader: RunReader): Promise<Part> {
    const part = await reader.read(place);
    if (part === undefined) throw new UnknownJobError(place.id, place.queue);
    return part;
  }

  /** @throws {UnknownJobError} if the store does not hold the job. */
  async #place(): Promise<JobRef> {
    const { id } = this.#job;
    const queue = await this.#job.find();
    if (queue === undefined || !(await isHeld(this.#store, { queue, id })))
      throw new UnknownJobError(id, queue);
    return { queue, id };
  }
}

// Iterations over a run in progress.

/** A look at a run, with its state before the look. */
interface RunLook extends Look {
  readonly place: JobRef;
  readonly isOver: boolean;
}

/** Yields looks at a run. The state is read first, so that nothing before the end is missed. */
async function* runLooks(
  parts: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<RunLook, void> {
  await parts.checkStored?.(job.id);
  for await (const look of looksAt(parts, job, options)) {
    const { queue, ask } = look;
    const state = await ask(() => jobStateOf(parts.store, { queue, id: job.id }));
    if (state === LATER) continue;
    if (state === 'unknown') throw new UnknownJobError(job.id, queue);
    yield { ...look, place: { queue, id: job.id }, isOver: isFinal(state) };
  }
}

/** Yields the counts of a run whenever they change, until it has ended. */
export async function* countsOverTime(
  parts: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<RunCounts, void> {
  const reader = new RunReader(parts.store);
  let last = '';
  for await (const { place, isOver, ask, listen, again } of runLooks(parts, job, options)) {
    const part = await ask(() => reader.read(place));
    if (part === LATER) continue;
    if (part === undefined) throw new UnknownJobError(job.id, place.queue);
    listen(queuesOf(part));
    const counts = runCountsOf(part);
    const text = JSON.stringify(counts);
    if (text !== last) {
      last = text;
      again();
      yield counts;
    }
    if (isOver) return;
  }
}

/** Yields the members of the result's group as they end; without a group, the members of the result value. */
export async function* membersOverTime(
  parts: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<MemberOutcome<unknown>, void> {
  const { store } = parts;
  let ending: EndingMembers | undefined;
  for await (const { place, isOver, ask, listen, again } of runLooks(parts, job, options)) {
    if (ending === undefined || isOver) {
      const group = await ask(() => groupOf(store, place));
      if (group === LATER) continue;
      ending = group && (ending ?? new EndingMembers(store, group));
    }
    const members = ending;
    if (members === undefined) {
      const whole = isOver ? await ask(() => wholeMembers(store, place)) : LATER;
      if (whole === LATER) continue;
      yield* whole;
      return;
    }
    const holders = await ask(() => members.holders());
    if (holders === LATER) continue;
    listen(members.queues);
    let isRead = true;
    for (const holder of holders) {
      const fresh = await ask(() => members.fresh(holder));
      if (fresh === LATER) isRead = false;
      else if (fresh.length > 0) {
        again();
        yield* fresh;
      }
    }
    const added = isOver && isRead ? await ask(() => members.added()) : LATER;
    if (added === LATER) continue;
    yield* added;
    return;
  }
}

/** Yields every task of a run as it ends. */
export async function* tasksOverTime(
  parts: ResultDependencies,
  job: Watched,
  options: GetOptions,
): AsyncGenerator<CollectedTask, void> {
  let tasks: EndingTasks | undefined;
  for await (const { place, isOver, ask, listen, again } of runLooks(parts, job, options)) {
    tasks ??= new EndingTasks(parts.store, place);
    const ending = tasks;
    for (;;) {
      const fresh = await ask(() => ending.fresh(isOver));
      if (fresh === LATER) break;
      listen(ending.queues);
      if (fresh.length === 0 && isOver) return;
      if (fresh.length === 0) break;
      again();
      yield* fresh;
    }
  }
}
