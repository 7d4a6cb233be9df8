/** This module yields members of a group and tasks of a run as they end: each once, in bounded memory. */

import { recordOf } from '../../codec/error-record.js';
import type { JobRef } from '../../job/job.js';
import { INTERNAL_QUEUE } from '../../job/job-tree.js';
import { isFinal } from '../../job/states.js';
import { childCounts, childPlaces, readJob } from '../../store/read.js';
import { type JobOutcome, jobOutcomesOf } from '../../store/results.js';
import { RunTreeReader } from '../../store/run-tree.js';
import type { Store } from '../../store/store.js';
import { wasSkipped } from '../../store/stored-job.js';
import type { ChildPlace } from '../../store/tree.js';
import { addedInOrder } from '../../workflow/added-members.js';
import { totalOf } from '../../workflow/graph-parts.js';
import type { CollectedTask, MemberOutcome } from '../async-result.js';
import { type EndedMember, endedBelow, type Group } from './group.js';
import { sortedByPath, streamedOf } from './relatives.js';

/** A job with members below it, and the members that were returned. */
interface Holder {
  readonly id: string;
  readonly returned: Set<string>;
  /** Number of members that had ended at the last read. */
  ended: number;
}

export class EndingMembers {
  readonly #store: Store;
  readonly #group: Group;
  readonly #join: Holder;
  /** Slices with unended members. */
  readonly #slices = new Map<number, Holder>();
  #nextSlice = 0;
  /** Members that other members have added: their indexes are known at the end. */
  readonly #added: EndedMember[] = [];
  #declared = 0;
  #joined = 0;
  readonly #queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, group: Group) {
    this.#store = store;
    this.#group = group;
    this.#join = { id: group.join.id, returned: new Set(), ended: 0 };
  }

  /** Known queues of members. */
  get queues(): ReadonlySet<string> {
    return this.#queues;
  }

  /** Returns the jobs that may have members that were not returned yet. */
  async holders(): Promise<readonly Holder[]> {
    const joined = totalOf(await this.#counts(this.#join.id));
    if (joined !== this.#joined) await this.#learnQueues(this.#join.id);
    this.#joined = joined;
    for (;;) {
      const id = `${this.#group.list}/${this.#nextSlice}`;
      if (totalOf(await this.#counts(id)) === 0) break;
      await this.#learnQueues(id);
      this.#slices.set(this.#nextSlice, { id, returned: new Set(), ended: 0 });
      this.#nextSlice += 1;
    }
    return [this.#join, ...this.#slices.values()];
  }

  /** Returns the members below a job that have ended since the last call. */
  async fresh(holder: Holder): Promise<MemberOutcome<unknown>[]> {
    const { unprocessed, processed, ignored } = await this.#counts(holder.id);
    const count = processed + ignored;
    if (count === holder.ended) return [];
    const members = await endedBelow(this.#store, this.#group, holder.id);
    const others = members.filter(({ id }) => !holder.returned.has(id));
    const outcomes: MemberOutcome<unknown>[] = [];
    for (const member of others)
      if (member.index !== undefined) outcomes.push(await member.read(member.index));
    // Nothing below may fail: what was read is returned.
    for (const member of others) {
      holder.returned.add(member.id);
      if (member.index === undefined) this.#added.push(member);
      else this.#declared += 1;
    }
    holder.ended = count;
    if (unprocessed === 0 && holder !== this.#join) this.#close(holder);
    return outcomes.sort((one, other) => one.index - other.index);
  }

  /** Returns the members that other members have added; call it at the end. */
  async added(): Promise<MemberOutcome<unknown>[]> {
    if (this.#added.length === 0) return [];
    const { run, source } = this.#group;
    const known = 'record' in source ? source.keys.length : source.count;
    const first = known ?? (await streamedOf(this.#store, run, source)).count ?? this.#declared;
    const members = new Map(this.#added.map((member) => [member.id, member]));
    const ids = addedInOrder(this.#group.list, [...members.keys()]);
    const outcomes = ids.map((id, turn) => members.get(id)?.read(first + turn));
    return Promise.all(outcomes.filter((outcome) => outcome !== undefined));
  }

  async #learnQueues(id: string): Promise<void> {
    const children = await childPlaces(this.#store, { queue: INTERNAL_QUEUE, id });
    for (const { queue } of children) this.#queues.add(queue);
  }

  #close(slice: Holder): void {
    for (const [index, each] of this.#slices) if (each === slice) this.#slices.delete(index);
  }

  #counts(id: string) {
    return childCounts(this.#store, { queue: INTERNAL_QUEUE, id });
  }
}

// Tasks of a run as they end, each once, a job after its children.
// A tree holds the jobs with unreturned tasks, and a stack the jobs to look at, so that a call continues where the last one
// stopped: a long chain is a deep tree, and each of its steps is looked at only a few times. An empty stack is refilled with
// jobs that may have changed: jobs without known unended children, their parents, and some others in rotation, to which
// handlers may have added jobs.

/** Number of tasks after which a call returns. */
const BATCH = 100;
/** Number of concurrent reads. */
const AT_ONCE = 20;
/** Number of outcomes that are read together. */
const OUTCOMES_AT_ONCE = 50;
/** Up to this number of open jobs, all are looked at each time. */
const FEW = 200;
/** With more open jobs, number of additional jobs to look at each time. */
const IN_TURN = 20;

/** A job whose task, or a task below it, may be unreturned. */
interface Open {
  readonly place: JobRef;
  readonly parent: Open | undefined;
  hasEnded: boolean;
  /** It was looked at after its end, so no more children are added. It is returned next, after the jobs below it. */
  isFinal: boolean;
  isReturned: boolean;
  /** Children that there were, and that had ended, when it was last looked at. */
  total: number;
  ended: number;
  readonly open: Map<string, Open>;
  /** Ids of children without unreturned tasks. */
  readonly closed: Set<string>;
  /** Its task, and whether it was skipped, if it was read after its end. */
  seen?: SeenTask;
}

interface SeenTask {
  readonly task: string;
  readonly isSkipped: boolean;
}

/** Next step: look at a job, or return it after the jobs below it. */
interface Step {
  readonly job: Open;
  readonly isReturning: boolean;
}

interface Looked {
  readonly hadEnded: boolean;
  readonly total: number;
  readonly ended: number;
  /** Absent if nothing has changed. */
  readonly children?: readonly ChildPlace[];
  /** Present if the job had ended. */
  readonly seen?: SeenTask;
}

export class EndingTasks {
  readonly #store: Store;
  readonly #jobs: RunTreeReader;
  readonly #root: Open;
  readonly #stack: Step[] = [];
  /** Jobs whose outcomes are read next. */
  #ready: Open[] = [];
  #found: CollectedTask[] = [];
  #visiting: Promise<void> = Promise.resolve();
  #openJobs = 1;
  /** Index of the next job in the rotation. */
  #turn = 0;
  /** Known queues of tasks of the run. */
  readonly queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, place: JobRef) {
    this.#store = store;
    this.#jobs = new RunTreeReader(store);
    this.#root = opened(place, undefined);
  }

  /** Returns some of the tasks that have ended since the last call. Call again until none is returned. */
  async fresh(isOver: boolean): Promise<CollectedTask[]> {
    // An earlier, abandoned call may still run.
    const visiting = this.#visiting.catch(() => {}).then(() => this.#visit(isOver));
    this.#visiting = visiting;
    await visiting;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** Continues until enough tasks are found or nothing is left to look at. The next call repeats failed steps. */
  async #visit(isOver: boolean): Promise<void> {
    this.#root.hasEnded ||= isOver;
    this.#jobs.begin();
    for (let isFilled = this.#stack.length > 0 && !isOver; this.#found.length < BATCH; ) {
      if (this.#ready.length >= OUTCOMES_AT_ONCE || this.#stack.length === 0) await this.#readReady();
      if (this.#stack.length === 0) {
        if (isFilled) return;
        isFilled = true;
        this.#fill(isOver);
      }
      const top = this.#stack.at(-1);
      if (top?.isReturning) this.#returnTop(top.job);
      else await this.#lookAtTop();
    }
  }

  /** Returns a job after the ended jobs below it. */
  #returnTop(job: Open): void {
    const earlier = [...job.open.values()].filter(({ hasEnded, isReturned }) => hasEnded && !isReturned);
    if (earlier.length === 0 || job.isReturned) {
      this.#stack.pop();
      if (!job.isReturned) this.#ready.push(job);
      job.isReturned = true;
      this.#close(job);
    } else
      for (const below of earlier.reverse()) this.#stack.push({ job: below, isReturning: below.isFinal });
  }

  async #readReady(): Promise<void> {
    const byQueue = new Map<string, Open[]>();
    for (const job of this.#ready) {
      const { queue } = job.place;
      // Internal jobs have no task.
      if (queue !== INTERNAL_QUEUE) byQueue.set(queue, [...(byQueue.get(queue) ?? []), job]);
    }
    const tasks = new Map<Open, CollectedTask>();
    for (const [queue, jobs] of byQueue) {
      const ids = jobs.map(({ place }) => place.id);
      const outcomes = await jobOutcomesOf(this.#store, queue, ids);
      await Promise.all(
        jobs.map(async (job, index) => {
          const task = await this.#taskOf(job, outcomes[index]);
          if (task !== undefined) tasks.set(job, task);
        }),
      );
    }
    for (const job of this.#ready) {
      const task = tasks.get(job);
      if (task !== undefined) this.#found.push(task);
    }
    this.#ready = [];
  }

  async #lookAtTop(): Promise<void> {
    const jobs: Open[] = [];
    for (let at = this.#stack.length - 1; at >= 0 && jobs.length < AT_ONCE; at -= 1) {
      const step = this.#stack[at];
      if (step === undefined || step.isReturning) break;
      jobs.push(step.job);
    }
    const looked = await Promise.all(jobs.map((job) => this.#look(job, jobs.length === 1)));
    this.#stack.length -= jobs.length;
    // Push the children of the first job last, so that they are on top.
    for (const [index, job] of [...jobs.entries()].reverse()) this.#apply(job, looked[index] as Looked);
  }

  /**
   * Looks at a job. The children of an ended job are read at once: none is added any more. So are those of a single job: it is
   * likely a step of a chain, with one child.
   */
  async #look(job: Open, isAlone: boolean): Promise<Looked> {
    const { place, hasEnded: hadEnded } = job;
    if (hadEnded || isAlone) {
      const standing = await this.#jobs.read(place);
      const isEnded = standing !== undefined && isFinal(standing.state);
      // Records that were read ahead may be older than the end of which its parent told.
      const isOld = hadEnded && !isEnded;
      const children =
        standing === undefined || isOld ? await childPlaces(this.#store, place) : await standing.children();
      const ended = children.filter(({ kind }) => kind !== 'unprocessed').length;
      const seen = isEnded &&
        standing.job && { task: standing.job.name, isSkipped: wasSkipped(standing.job.envelope) };
      return { hadEnded, total: children.length, ended, children, ...(seen && { seen }) };
    }
    const { unprocessed, processed, ignored } = await childCounts(this.#store, place);
    const [total, ended] = [unprocessed + processed + ignored, processed + ignored];
    if (total === job.total && ended === job.ended) return { hadEnded, total, ended };
    return { hadEnded, total, ended, children: await childPlaces(this.#store, place) };
  }

  #apply(job: Open, { hadEnded, total, ended, children = [], seen }: Looked): void {
    job.total = total;
    job.ended = ended;
    job.isFinal ||= hadEnded;
    if (seen !== undefined) job.seen = seen;
    if (job.isFinal && !job.isReturned) this.#stack.push({ job, isReturning: true });
    const isSlice = /\/\d+$/.test(job.place.id);
    const next: Open[] = [];
    for (const child of sortedByPath(children)) {
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
    for (const below of next.reverse()) this.#stack.push({ job: below, isReturning: false });
  }

  /** Closes a job without unreturned tasks, and then parents that have none left. */
  #close(job: Open): void {
    for (let last = job; last.isReturned && last.open.size === 0; ) {
      const { parent } = last;
      if (parent === undefined || !parent.open.delete(last.place.id)) return;
      parent.closed.add(last.place.id);
      this.#openJobs -= 1;
      // It may have ended in the meantime, which its parent shows.
      if (parent.open.size === 0 && !parent.hasEnded && parent.parent !== undefined)
        this.#stack.push({ job: parent.parent, isReturning: false });
      last = parent;
    }
  }

  /** Pushes the jobs to look at again, a job above its children. */
  #fill(isOver: boolean): void {
    const jobs = this.#allOpen();
    const isFew = isOver || this.#openJobs <= FEW;
    for (const [index, job] of jobs.entries()) {
      const isAtEnd = job.open.size === 0 || [...job.open.values()].some(({ open }) => open.size === 0);
      const isInTurn = (index - this.#turn + jobs.length) % jobs.length < IN_TURN;
      if (isFew || isAtEnd || isInTurn) this.#stack.push({ job, isReturning: false });
    }
    this.#turn = (this.#turn + IN_TURN) % jobs.length;
  }

  /** Returns all open jobs: each before its children, the children from the last to the first. */
  #allOpen(): Open[] {
    const all: Open[] = [];
    const stack = [this.#root];
    for (let job = stack.pop(); job !== undefined; job = stack.pop()) {
      all.push(job);
      for (const below of job.open.values()) stack.push(below);
    }
    return all;
  }

  /** Returns the task of a job; undefined for skipped tasks and missing jobs. */
  async #taskOf({ place, seen }: Open, outcome: JobOutcome | undefined): Promise<CollectedTask | undefined> {
    const { id } = place;
    const { task, isSkipped } = seen ?? (await this.#readTask(place)) ?? {};
    if (task === undefined) return undefined;
    if (outcome?.kind === 'completed')
      return isSkipped ? undefined : { id, task, ok: true, value: outcome.value };
    if (outcome?.kind !== 'failed' || outcome.failure.state === 'skipped') return undefined;
    return { id, task, ok: false, error: recordOf(outcome.failure) };
  }

  async #readTask(place: JobRef): Promise<SeenTask | undefined> {
    const job = await readJob(this.#store, place);
    return job && { task: job.name, isSkipped: wasSkipped(job.envelope) };
  }
}

function opened({ queue, id }: JobRef | ChildPlace, parent: Open | undefined): Open {
  return {
    place: { queue, id },
    parent,
    hasEnded: false,
    isFinal: false,
    isReturned: false,
    total: 0,
    ended: 0,
    open: new Map(),
    closed: new Set(),
  };
}
