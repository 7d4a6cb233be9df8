/**
 * The tasks of a run as they end, each once, a job after those that it has waited for.
 *
 * Jobs that may have something left to give are kept as a tree, and those to look at on a stack, from which a call goes
 * on where the last one has stopped: a long chain is a deep tree, and each of its steps is looked at a few times in all.
 * Once the stack is empty, it is filled with the jobs at which something may have happened: those that wait for no other
 * one that is known, those above them, and some others in turn, to which handlers may have added jobs.
 */
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
/** As long as there are no more, all jobs are looked at each time. */
const FEW = 200;
/** Of more, so many besides those at which something may have happened. */
const IN_TURN = 20;

/** A job that may have something left to give, or below which there may be such jobs. */
interface Open {
  readonly place: JobPlace;
  readonly parent: Open | undefined;
  hasEnded: boolean;
  /** It was looked at since it had ended: no other child comes. Then it is given, after those below it. */
  isFinal: boolean;
  isGiven: boolean;
  /** Children that there were, and that had ended, when it was last looked at. */
  total: number;
  ended: number;
  readonly open: Map<string, Open>;
  /** Children with nothing left. */
  readonly closed: Set<string>;
}

/** What is next: a look at a job, or to give it, once what is below it was looked at. */
interface Step {
  readonly job: Open;
  readonly isGiving: boolean;
}

interface Looked {
  readonly hadEnded: boolean;
  readonly total: number;
  readonly ended: number;
  /** Absent if there is nothing new. */
  readonly children?: readonly ChildPlace[];
}

export class EndingTasks {
  readonly #store: Store;
  readonly #root: Open;
  readonly #stack: Step[] = [];
  /** Jobs that are given next. */
  #ready: Open[] = [];
  #found: CollectedTask[] = [];
  #visiting: Promise<void> = Promise.resolve();
  #openJobs = 1;
  /** Which of many jobs is looked at next in turn. */
  #turn = 0;
  /** The queues that are known to hold tasks of the run. */
  readonly queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, place: JobPlace) {
    this.#store = store;
    this.#root = opened(place, undefined);
  }

  /** Those that have ended since the last time, some of them at once: there may be more until none is given. */
  async fresh(isOver: boolean): Promise<CollectedTask[]> {
    // One that nobody waited for any more may still go on.
    const visiting = this.#visiting.catch(() => {}).then(() => this.#visit(isOver));
    this.#visiting = visiting;
    await visiting;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** Goes on until there is enough to give, or nothing is left to look at. What fails is done again the next time. */
  async #visit(isOver: boolean): Promise<void> {
    this.#root.hasEnded ||= isOver;
    for (let isFilled = this.#stack.length > 0 && !isOver; this.#found.length < BATCH; ) {
      if (this.#ready.length >= AT_ONCE || this.#stack.length === 0) await this.#give();
      if (this.#stack.length === 0) {
        if (isFilled) return;
        isFilled = true;
        this.#fill(isOver);
      }
      const top = this.#stack.at(-1);
      if (top?.isGiving) this.#giveTop(top.job);
      else await this.#lookAtTop();
    }
  }

  /** Gives a job, after those below it that have ended. */
  #giveTop(job: Open): void {
    const earlier = [...job.open.values()].filter(({ hasEnded, isGiven }) => hasEnded && !isGiven);
    if (earlier.length === 0 || job.isGiven) {
      this.#stack.pop();
      if (!job.isGiven) this.#ready.push(job);
      job.isGiven = true;
      this.#close(job);
    } else for (const below of earlier.reverse()) this.#stack.push({ job: below, isGiving: below.isFinal });
  }

  async #give(): Promise<void> {
    const outcomes = await Promise.all(this.#ready.map(({ place }) => this.#outcomeOf(place)));
    for (const outcome of outcomes) if (outcome !== undefined) this.#found.push(outcome);
    this.#ready = [];
  }

  async #lookAtTop(): Promise<void> {
    const jobs: Open[] = [];
    for (let at = this.#stack.length - 1; at >= 0 && jobs.length < AT_ONCE; at -= 1) {
      const step = this.#stack[at];
      if (step === undefined || step.isGiving) break;
      jobs.push(step.job);
    }
    const looked = await Promise.all(jobs.map((job) => this.#look(job, jobs.length === 1)));
    this.#stack.length -= jobs.length;
    // The first one's children come on top.
    for (const [index, job] of [...jobs.entries()].reverse()) this.#apply(job, looked[index] as Looked);
  }

  /** One that is looked at by itself is likely a step of a chain, which has a child: that is read at once. */
  async #look(job: Open, isAlone: boolean): Promise<Looked> {
    const { place, hasEnded: hadEnded } = job;
    if (isAlone) {
      const children = await childPlaces(this.#store, place);
      const ended = children.filter(({ kind }) => kind !== 'unprocessed').length;
      return { hadEnded, total: children.length, ended, children };
    }
    const { unprocessed, processed, ignored } = await childCounts(this.#store, place);
    const [total, ended] = [unprocessed + processed + ignored, processed + ignored];
    if (total === job.total && ended === job.ended) return { hadEnded, total, ended };
    return { hadEnded, total, ended, children: await childPlaces(this.#store, place) };
  }

  #apply(job: Open, { hadEnded, total, ended, children = [] }: Looked): void {
    job.total = total;
    job.ended = ended;
    job.isFinal ||= hadEnded;
    if (job.isFinal && !job.isGiven) this.#stack.push({ job, isGiving: true });
    const isSlice = /\/\d+$/.test(job.place.id);
    const next: Open[] = [];
    for (const child of [...children].sort(byPath)) {
      const hasEnded = child.kind !== 'unprocessed';
      if (job.closed.has(child.id) || (isSlice && !hasEnded)) continue;
      this.queues.add(child.queue);
      let below = job.open.get(child.id);
      if (below?.hasEnded === hasEnded) continue;
      if (below === undefined) {
        below = opened(child, job);
        job.open.set(child.id, below);
        this.#openJobs += 1;
      }
      below.hasEnded ||= hasEnded;
      next.push(below);
    }
    for (const below of next.reverse()) this.#stack.push({ job: below, isGiving: false });
  }

  /** Forgets a job with nothing left, and those above it that have nothing left then. */
  #close(job: Open): void {
    for (let last = job; last.isGiven && last.open.size === 0; ) {
      const { parent } = last;
      if (parent === undefined || !parent.open.delete(last.place.id)) return;
      parent.closed.add(last.place.id);
      this.#openJobs -= 1;
      // It may have ended meanwhile, which the one above it tells.
      if (parent.open.size === 0 && !parent.hasEnded && parent.parent !== undefined)
        this.#stack.push({ job: parent.parent, isGiving: false });
      last = parent;
    }
  }

  /** Puts on the stack what is to be looked at again, a job above those below it. */
  #fill(isOver: boolean): void {
    const jobs = this.#allOpen();
    const isFew = isOver || this.#openJobs <= FEW;
    for (const [index, job] of jobs.entries()) {
      const isAtEnd = job.open.size === 0 || [...job.open.values()].some(({ open }) => open.size === 0);
      const isInTurn = (index - this.#turn + jobs.length) % jobs.length < IN_TURN;
      if (isFew || isAtEnd || isInTurn) this.#stack.push({ job, isGiving: false });
    }
    this.#turn = (this.#turn + IN_TURN) % jobs.length;
  }

  /** All that is known and not closed: each before those below it, the children of a job from the last to the first. */
  #allOpen(): Open[] {
    const all: Open[] = [];
    const left = [this.#root];
    for (let job = left.pop(); job !== undefined; job = left.pop()) {
      all.push(job);
      for (const below of job.open.values()) left.push(below);
    }
    return all;
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

function opened({ queue, id }: JobPlace | ChildPlace, parent: Open | undefined): Open {
  return {
    place: { queue, id },
    parent,
    hasEnded: false,
    isFinal: false,
    isGiven: false,
    total: 0,
    ended: 0,
    open: new Map(),
    closed: new Set(),
  };
}
