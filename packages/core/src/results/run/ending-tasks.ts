/** The tasks of a run as they end, each once. */
import { childCounts, childPlaces } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import { wasSkipped } from '../../bullmq/stored-job.js';
import type { ChildPlace, JobPlace } from '../../bullmq/tree.js';
import { INTERNAL_QUEUE } from '../../flow/node.js';
import { recordOf } from '../../tasks/failure-record.js';
import type { CollectedTask } from '../member-outcome.js';
import { byPath } from './kin.js';

/** Tasks that are given at once. */
const BATCH = 100;

/** Jobs that are asked at once. */
const AT_ONCE = 20;

/** A job that may have something left to give below it. */
interface Open {
  readonly place: JobPlace;
  isGiven: boolean;
  /** Children that had ended when they were last read. */
  ended: number;
  readonly open: Map<string, Open>;
  /** Children with nothing left. */
  readonly closed: Set<string>;
}

export class EndingTasks {
  readonly #store: Store;
  readonly #root: Open;
  #found: CollectedTask[] = [];
  /** The queues that are known to hold tasks of the run. */
  readonly queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, place: JobPlace) {
    this.#store = store;
    this.#root = opened(place);
  }

  /** Those that have ended since the last time, some of them at once: there may be more until none is given. */
  async fresh(isOver: boolean): Promise<CollectedTask[]> {
    await this.#visit(this.#root, isOver);
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** Gives what has ended; true if nothing is left. */
  async #visit(job: Open, hasEnded: boolean): Promise<boolean> {
    await this.#visitBelow(job);
    if (!hasEnded || this.#isFull()) return false;
    if (!job.isGiven) {
      const outcome = await this.#outcomeOf(job.place);
      // A visit that was given up may have gone on meanwhile.
      if (outcome !== undefined && !job.isGiven) this.#found.push(outcome);
      job.isGiven = true;
    }
    return job.open.size === 0;
  }

  async #visitBelow(job: Open): Promise<void> {
    const { unprocessed, processed, ignored } = await childCounts(this.#store, job.place);
    const ended = processed + ignored;
    const isSlice = /\/\d+$/.test(job.place.id);
    if (
      unprocessed + ended === 0 ||
      (ended === job.ended && (isSlice || unprocessed === 0) && job.open.size === 0)
    )
      return;
    const children = (await childPlaces(this.#store, job.place)).sort(byPath);
    for (const { queue } of children) this.queues.add(queue);
    const left = children.filter(
      ({ id, kind }) => !job.closed.has(id) && !(isSlice && kind === 'unprocessed'),
    );
    for (let start = 0; start < left.length; start += AT_ONCE) {
      const some = left.slice(start, start + AT_ONCE);
      await Promise.all(some.map((child) => this.#visitChild(job, child)));
      if (this.#isFull()) return;
    }
    job.ended = ended;
  }

  async #visitChild(job: Open, child: ChildPlace): Promise<void> {
    const below = job.open.get(child.id) ?? opened(child);
    job.open.set(child.id, below);
    if (!(await this.#visit(below, child.kind !== 'unprocessed'))) return;
    job.open.delete(child.id);
    job.closed.add(child.id);
  }

  #isFull(): boolean {
    return this.#found.length >= BATCH;
  }

  /** Absent for internal jobs, for tasks that were skipped, and for what is gone from the store. */
  async #outcomeOf({ queue, id }: JobPlace): Promise<CollectedTask | undefined> {
    if (queue === INTERNAL_QUEUE) return undefined;
    const job = await this.#store.job(queue, id);
    if (job === undefined) return undefined;
    const outcome = await this.#store.outcome(queue, id);
    const { name: task } = job;
    if (outcome.kind === 'completed' && wasSkipped(job.envelope)) return undefined;
    if (outcome.kind === 'completed') return { id, task, ok: true, value: outcome.value };
    if (outcome.kind !== 'failed' || outcome.failure.state === 'skipped') return undefined;
    return { id, task, ok: false, error: recordOf(outcome.failure) };
  }
}

function opened({ queue, id }: JobPlace | ChildPlace): Open {
  return { place: { queue, id }, isGiven: false, ended: 0, open: new Map(), closed: new Set() };
}
