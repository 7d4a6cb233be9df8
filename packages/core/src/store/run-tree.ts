/** This module reads the jobs of a run for its views: ahead, many levels with one command, if the store has it. */
import type { JobRef } from '../job/job.js';
import { type ChildKinds, runTreePrimitiveOf, type TreeJob } from './primitives/run-trees.js';
import { childPlaces, standingOf } from './read.js';
import type { Store } from './store.js';
import { type RunJob, runJobOf, shownState } from './stored-job.js';
import type { ChildKind, ChildPlace } from './tree.js';

/** A job with its state and its children. */
export interface TreeStanding {
  readonly state: string;
  /** Absent if it is unreadable. */
  readonly job: RunJob | undefined;
  /** Returns the children, each once, as they were at the moment of the state or later. */
  children(): Promise<ChildPlace[]>;
}

/**
 * Reads jobs of a run from the top down. A job that was read ahead is used once, as it was when a job above it was read. So a
 * job that its parent shows as ended has ended here too, and has all its children.
 */
export class RunTreeReader {
  readonly #store: Store;
  readonly #ahead = new Map<string, TreeJob>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Forgets what was read ahead; call it before a new reading of the run. */
  begin(): void {
    this.#ahead.clear();
  }

  /** Returns a job; undefined if the store does not hold it. */
  async read(place: JobRef): Promise<TreeStanding | undefined> {
    const row = this.#take(place) ?? (await this.#readAhead(place));
    if (row?.state === 'unknown') return undefined;
    if (row?.state === undefined) {
      const standing = await standingOf(this.#store, place);
      return standing && { ...standing, children: () => childPlaces(this.#store, place) };
    }
    const job = row.fields && (await runJobOf(this.#store.sealer, row.fields));
    const { children } = row;
    return {
      state: shownState(row.state, job),
      job,
      children: async () =>
        children === undefined ? childPlaces(this.#store, place) : this.#places(children),
    };
  }

  async #readAhead(place: JobRef): Promise<TreeJob | undefined> {
    const rows = await this.#store.on(place.queue, async (bull) =>
      runTreePrimitiveOf(bull.getBackend())?.readRunTree(place.id),
    );
    for (const row of rows ?? []) this.#ahead.set(keyOf(this.#store.placeOf(row.key)), row);
    return this.#take(place);
  }

  #take(place: JobRef): TreeJob | undefined {
    const key = keyOf(place);
    const row = this.#ahead.get(key);
    this.#ahead.delete(key);
    return row;
  }

  #places({ unprocessed, processed, ignored }: ChildKinds): ChildPlace[] {
    const placed = (kind: ChildKind) => (key: string) => ({ kind, ...this.#store.placeOf(key) });
    return [
      ...unprocessed.map(placed('unprocessed')),
      ...processed.map(placed('processed')),
      ...ignored.map(([key, reason]) => ({ ...placed('ignored')(key), reason })),
    ];
  }
}

function keyOf({ queue, id }: JobRef): string {
  return `${queue} ${id}`;
}
