/** This module reads jobs of a run before they are asked for: many levels with one command, if the store has it. */
import type { JobRef } from '../job/job.js';
import { runTreePrimitiveOf, type TreeJob } from './primitives/run-trees.js';
import type { JobAccess } from './tree.js';

/**
 * Jobs that were read together with one above them. Each is used once, as it was at the moment when the one above it was read.
 * So a job that its parent shows as ended has ended here too, and has all its children.
 */
export class TreeRows {
  readonly #access: JobAccess;
  readonly #rows = new Map<string, TreeJob>();

  constructor(access: JobAccess) {
    this.#access = access;
  }

  /** Forgets what was read; call it before a new reading of the run. */
  clear(): void {
    this.#rows.clear();
  }

  /** Reads those of the jobs that have not been read, each with those below it, as many as one command reads. */
  async read(places: readonly JobRef[]): Promise<void> {
    const unread = places.filter((place) => !this.#rows.has(keyOf(place)));
    await Promise.all(
      unread.map(async (place) => {
        const rows = await readTree(this.#access, place);
        for (const row of rows ?? []) this.#rows.set(keyOf(this.#access.placeOf(row.key)), row);
      }),
    );
  }

  /** Returns a job that was read, and forgets it; undefined if it was not read, or if the store has no such command. */
  take(place: JobRef): TreeJob | undefined {
    const key = keyOf(place);
    const row = this.#rows.get(key);
    this.#rows.delete(key);
    return row;
  }
}

/** Returns a job and those below it, as many as one command reads; undefined if the store has no such command. */
export function readTree(access: JobAccess, { queue, id }: JobRef): Promise<readonly TreeJob[] | undefined> {
  return access.on(queue, async (bull) => runTreePrimitiveOf(bull.getBackend())?.readRunTree(id));
}

/** Key of a job in a map: ids are unique within a queue. */
export function keyOf({ queue, id }: JobRef): string {
  return `${queue} ${id}`;
}
