/** A run, or a call, with all its tasks: what a handle tells beside the one result. */
import type { Store } from '../bullmq/store.js';
import type { JobPlace } from '../bullmq/tree.js';
import { UnknownJobError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { Part } from '../graph/part.js';
import { type RunGraph, runGraph } from '../graph/run-graph.js';
import { type RunCounts, runCountsOf } from '../graph/tally.js';
import type { PageEntry, PageOptions } from './member-outcome.js';
import { rangeOf } from './options.js';
import { groupOf } from './run/group.js';
import { memberPage } from './run/member-page.js';
import { taskAfter, tasksBefore } from './run/relatives.js';
import { RunReader } from './run/run-reader.js';
import { wholeMembers } from './run/value-members.js';
import { isFinal } from './state.js';
import type { Watched } from './watching.js';

/** Tasks before a job that are told. */
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
    const { alone, run } = (await this.#store.job(place.queue, place.id))?.envelope ?? {};
    // A run that only carries the callbacks of one call.
    const from = alone && run !== undefined ? { queue: INTERNAL_QUEUE, id: run } : place;
    const reader = new RunReader(this.#store, { withCallbacks: true });
    return runGraph((await reader.read(from)) ?? (await this.#read(place, reader)), place.id);
  }

  async counts(): Promise<RunCounts> {
    return runCountsOf(await this.#read(await this.#place(), new RunReader(this.#store)));
  }

  async before(): Promise<JobPlace[]> {
    return tasksBefore(this.#store, await this.#place(), MAX_CHILDREN);
  }

  async after(): Promise<JobPlace | undefined> {
    const place = await this.#place();
    const { alone, run } = (await this.#store.job(place.queue, place.id))?.envelope ?? {};
    return alone || run === undefined ? undefined : taskAfter(this.#store, place, run);
  }

  async page(options: PageOptions): Promise<PageEntry<unknown>[]> {
    const range = rangeOf(options);
    const place = await this.#place();
    const group = await groupOf(this.#store, place);
    if (group !== undefined) return memberPage(this.#store, group, range);
    const state = await this.#store.state(place.queue, place.id);
    const whole = isFinal(state)
      ? await wholeMembers(this.#store, place)
      : [{ index: 0, pending: true as const }];
    return whole.slice(range.offset, range.offset + range.limit);
  }

  async #read(place: JobPlace, reader: RunReader): Promise<Part> {
    const part = await reader.read(place);
    if (part === undefined) throw new UnknownJobError(place.id, place.queue);
    return part;
  }

  /** @throws {UnknownJobError} if the store does not hold the job. */
  async #place(): Promise<JobPlace> {
    const { id } = this.#job;
    const queue = await this.#job.find();
    if (queue === undefined || !(await this.#store.holds(queue, id))) throw new UnknownJobError(id, queue);
    return { queue, id };
  }
}
