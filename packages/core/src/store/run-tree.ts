/** This module reads the jobs of a run for its views and its search: many levels with one command, if the store has it. */
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, nodesOf, taskNamesOf } from '../job/job-tree.js';
import type { ChildKinds } from './primitives/run-trees.js';
import { childPlaces, readJob, standingOf } from './read.js';
import type { Store } from './store.js';
import { type RunJob, runJobOf, shownState } from './stored-job.js';
import { type ChildKind, type ChildPlace, childrenOf } from './tree.js';
import { keyOf, readTree, TreeRows } from './tree-rows.js';

/** A job with its state and its children. */
export interface TreeStanding {
  readonly state: string;
  /** Absent if it is unreadable. */
  readonly job: RunJob | undefined;
  /** Returns the children, each once, as they were at the moment of the state or later. */
  children(): Promise<ChildPlace[]>;
}

/** Reads jobs of a run from the top down. */
export class RunTreeReader {
  readonly #store: Store;
  readonly #rows: TreeRows;

  constructor(store: Store) {
    this.#store = store;
    this.#rows = new TreeRows(store);
  }

  /** Forgets what was read ahead; call it before a new reading of the run. */
  begin(): void {
    this.#rows.clear();
  }

  /** Reads jobs, so that `read` returns them without a command. */
  async readAhead(places: readonly JobRef[]): Promise<void> {
    await this.#rows.read(places);
  }

  /** Returns a job; undefined if the store does not hold it. */
  async read(place: JobRef): Promise<TreeStanding | undefined> {
    await this.#rows.read([place]);
    const row = this.#rows.take(place);
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

  #places({ unprocessed, processed, ignored }: ChildKinds): ChildPlace[] {
    const placed = (kind: ChildKind) => (key: string) => ({ kind, ...this.#store.placeOf(key) });
    return [
      ...unprocessed.map(placed('unprocessed')),
      ...processed.map(placed('processed')),
      ...ignored.map(([key, reason]) => ({ ...placed('ignored')(key), reason })),
    ];
  }
}

/** Maximum number of jobs of a run that `runHasTask` reads where one command reads one job. */
const SAMPLED_JOBS = 25;
/** Number of members that it reads of a group with very many of them: most members are of the same task. */
const SAMPLED_MEMBERS = 5;

/**
 * Returns whether a run has a job of a task, or may add one: from the last step down it reads some 100 jobs, and a few members
 * of a large group. @param isOfTask Whether the name of a task is searched for.
 */
export async function runHasTask(
  store: Store,
  run: JobRef,
  isOfTask: (task: string) => boolean,
): Promise<boolean> {
  const rows = await readTree(store, run);
  const known = new Set<string>();
  const open: JobRef[] = [];
  for (const { key, fields, children } of rows ?? []) {
    const place = store.placeOf(key);
    known.add(keyOf(place));
    const job = fields && (await runJobOf(store.sealer, fields));
    if (job !== undefined && hasTask(place, job, isOfTask)) return true;
    if (job === undefined || children === undefined) open.push(place);
  }
  if (rows === undefined || rows.length === 0) open.push(run);
  for (let read = 0; read < SAMPLED_JOBS; read += 1) {
    const place = open.shift();
    if (place === undefined) return false;
    const job = await readJob(store, place);
    if (job !== undefined && hasTask(place, job, isOfTask)) return true;
    let members = 0;
    for await (const child of childrenOf(store, place)) {
      if (!known.has(keyOf(child))) open.push(child);
      known.add(keyOf(child));
      members += 1;
      if (members === SAMPLED_MEMBERS) break;
    }
  }
  return false;
}

/** Returns whether a job is of a task, or adds jobs of it. */
function hasTask(
  { queue }: JobRef,
  { name, envelope }: Pick<RunJob, 'name' | 'envelope'>,
  isOfTask: (task: string) => boolean,
): boolean {
  if (queue !== INTERNAL_QUEUE && isOfTask(name)) return true;
  const added = envelope?.expand === undefined ? [] : nodesOf(envelope.expand);
  return added.some((node) => taskNamesOf(node).some(isOfTask));
}
