import type { FailureOrigin } from '../errors.js';
import type { Children } from '../flow/gather.js';
import { type FlowNode, INTERNAL_QUEUE, type Parent } from '../flow/node.js';
import type { Revoked } from '../flow/revocation.js';
import type { FailedChild } from '../running/job.js';
import type { Fed } from '../wire/envelope.js';
import { type AddOptions, addBelow, addChildren, addJob, addJobs, addRun, type NewJob } from './adding.js';
import type { EnvelopeQueue } from './backends.js';
import {
  detach,
  detachPending,
  endFeed,
  postponeJob,
  removeJob,
  revokeJob,
  skipPending,
} from './changing.js';
import { refuseClosed } from './closing.js';
import { type CollectedInput, collectInput } from './job-input.js';
import type { Mark, MarkedPlace } from './marking.js';
import {
  childResultsOf,
  failedChildrenOf,
  failureOf,
  isHeld,
  logsOf,
  type Progress,
  parentOf,
  progressIn,
  readJob,
  revokedOf,
  stateOf,
  topOf,
} from './reading.js';
import { type JobReplay, replayJob } from './replay-job.js';
import { internalChildren, type JobOutcome, outcomeOf, outcomeOfEnd } from './results.js';
import { findBelow, type NewInputs, type Resumable, resumableIn, resumeTree } from './resume.js';
import type { ServerFacts } from './server-facts.js';
import { StoreAccess, type StoreOptions } from './store-access.js';
import type { StoredJob } from './stored-job.js';
import type { JobAccess, JobPlace } from './tree.js';
import { type RemovalLimits, removeEndedTrees } from './tree-removal.js';
import { type JobEnd, type JobWait, Watcher } from './watcher.js';

export type { JobOutcome, NewJob, StoreOptions };

/**
 * Where jobs are stored, seen from the sending side. Connects at first use. The work is in `adding.ts`, `reading.ts`,
 * `results.ts` and `changing.ts`.
 */
export class Store implements JobAccess {
  readonly #options: StoreOptions;
  readonly #access: StoreAccess;
  readonly #watchers = new Map<string, Watcher>();

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#access = new StoreAccess(options);
  }

  /** Aborted when this store is closed; what is waited for does not come then. */
  get closed(): AbortSignal {
    return this.#access.backends.closed;
  }

  /**
   * Whether a command of this store has thrown the error because the store is away. True for what the app's own calls in
   * a handler throw as well; never for what says so in words only, such as an error of another client.
   */
  isOutage(error: unknown): boolean {
    return error instanceof Error && this.#options.outages.has(error);
  }

  /** What the store tells of itself; undefined if it does not. */
  facts(): Promise<ServerFacts | undefined> {
    return this.#access.reach(() => this.#access.backends.facts());
  }

  get isTimeKnown(): boolean {
    return this.#options.time.isKnown;
  }

  /**
   * Settles once the time of the store is known, by which everything is computed that others are to understand; undefined
   * if it is known. Only the first command of a process has to wait for it, or the first after its clock was set.
   */
  timeKnown(timeoutMs?: number): Promise<void> | undefined {
    if (this.isTimeKnown) return undefined;
    return this.#access.reach(() => this.#access.backends.timeKnown(), timeoutMs);
  }

  /** What `command` gives of a queue, tried while the store cannot be reached. */
  on<T>(queue: string, command: (queue: EnvelopeQueue) => Promise<T>, timeoutMs?: number): Promise<T> {
    return this.#access.on(queue, command, timeoutMs);
  }

  placeOf(key: string): JobPlace {
    return this.#access.placeOf(key);
  }

  /** Whether the store answers, within a time. */
  async isReached(timeoutMs: number): Promise<boolean> {
    try {
      await this.on(INTERNAL_QUEUE, (bull) => bull.getBackend().getQueueMetaField('version'), timeoutMs);
      return true;
    } catch {
      return false; // whatever the reason, no job is to be had of it
    }
  }

  /** The id of the job: its own, or that of an equal one that is there already. */
  add(job: NewJob, timeoutMs?: number): Promise<string> {
    return addJob(this.#access, job, timeoutMs);
  }

  /**
   * Adds jobs of one queue in one round trip; gives their ids, which are those of equal ones that are there already.
   * @throws {SubmitError} if the store did not take every one.
   */
  addMany(queue: string, jobs: readonly NewJob[], timeoutMs?: number): Promise<string[]> {
    return addJobs(this.#access, queue, jobs, timeoutMs);
  }

  /**
   * Adds a whole run in one transaction; the same again changes nothing.
   * @throws {SubmitError} if the store did not take every job.
   */
  addRun(run: string, root: FlowNode, options: AddOptions = {}): Promise<void> {
    return addRun(this.#access, run, root, options);
  }

  /**
   * Adds nodes as further children of a job that has not ended. Adding the same nodes again changes nothing.
   * @throws {SubmitError} if the store did not take every job.
   */
  addChildren(
    run: string,
    parent: Parent,
    nodes: readonly FlowNode[],
    options: AddOptions = {},
  ): Promise<void> {
    return addChildren(this.#access, run, parent, nodes, options);
  }

  /** Adds a job of this id below another one; one that is there stays as it is, and its parent is told if it has completed. */
  addBelow(parent: JobPlace, child: JobPlace, name: string, data: object): Promise<void> {
    return addBelow(this.#access, parent, child, name, data);
  }

  /** Children of internal jobs, by the id of their job. */
  children(): Children {
    return internalChildren(this.#access);
  }

  /** Results of the children of a job that completed, by job id, as stored. */
  childResults(queue: string, id: string): Promise<ReadonlyMap<string, unknown>> {
    return childResultsOf(this.#access, { queue, id });
  }

  /** The children of a job that failed, and did not end it. */
  failedChildren(queue: string, id: string): Promise<FailedChild[]> {
    return failedChildrenOf(this.#access, { queue, id });
  }

  /** The job that waits for another one, if there is any. */
  parentOf(queue: string, id: string): Promise<JobPlace | undefined> {
    return parentOf(this.#access, { queue, id });
  }

  /** The job above all others that wait for this one. */
  topOf(place: JobPlace): Promise<JobPlace> {
    return topOf(this.#access, place);
  }

  /** Where a job stands; while its handler shows a state of the task's own, that. */
  state(queue: string, id: string): Promise<string> {
    return stateOf(this.#access, { queue, id });
  }

  /** Whether the store holds the job, also if it cannot be read. */
  holds(queue: string, id: string): Promise<boolean> {
    return isHeld(this.#access, { queue, id });
  }

  /** How a job has ended; `isLeft` says whether nobody waits for that any more. */
  outcome(queue: string, id: string, isLeft?: () => boolean): Promise<JobOutcome> {
    return outcomeOf(this.#access, { queue, id }, isLeft);
  }

  /** Why a job failed: as its worker recorded it, else what the store says. */
  failure(queue: string, id: string, reason: string): Promise<FailureOrigin> {
    return failureOf(this.#access, { queue, id }, reason);
  }

  /** The job, or undefined if the store does not hold it. What cannot be read of it is left out. */
  job(queue: string, id: string, timeoutMs?: number): Promise<StoredJob | undefined> {
    return readJob(this.#access, { queue, id }, timeoutMs);
  }

  /** The input of a job as its handler gets it; `mayWait` says whether the job may still wait for others. */
  collectInput(job: StoredJob, mayWait: boolean): Promise<CollectedInput> {
    return collectInput(this.#access, job, mayWait);
  }

  /** Lines that the job's handler has logged, oldest first. */
  logs(queue: string, id: string): Promise<string[]> {
    return logsOf(this.#access, { queue, id });
  }

  /** What of a run was revoked: all of it, or what bears one of the tags. Undefined if the store does not hold it. */
  revokedOf(run: JobPlace): Promise<Revoked | undefined> {
    return revokedOf(this.#access, run);
  }

  /** Forgets a job that has ended, and those below it, but for what still runs. False if it is not gone by this. */
  remove(queue: string, id: string): Promise<boolean> {
    return removeJob(this.#access, { queue, id });
  }

  /** Removes each of these jobs with all below it, see `removeEndedTrees`. Gives the ids of those that are gone. */
  removeEnded(queue: string, ids: readonly string[], limits: RemovalLimits): Promise<string[]> {
    return removeEndedTrees(this.#access, queue, ids, limits);
  }

  /**
   * Marks a job, and in a run every job that is known yet and has not ended, as revoked: it does not start any more. What
   * waited for a time is taken up at once, so as to end. Gives the jobs that were marked.
   */
  revoke(queue: string, id: string, mark: Mark): Promise<MarkedPlace[]> {
    return revokeJob(this.#access, { queue, id }, mark);
  }

  /** Runs what has failed of a job or a run again, see `resumeTree`. Gives the number of jobs that run again. */
  resume(queue: string, id: string, inputs?: NewInputs): Promise<number> {
    return resumeTree(this.#access, { queue, id }, inputs);
  }

  /** Those of these jobs that `resume` would run again. */
  resumable(run: JobPlace, ids: ReadonlySet<string>): Promise<ReadonlyMap<string, Resumable>> {
    return resumableIn(this.#access, run, ids);
  }

  /** The job with this id in a run; undefined if none of its jobs that are stored has it. */
  findBelow(run: JobPlace, id: string): Promise<JobPlace | undefined> {
    return findBelow(this.#access, run, id);
  }

  /** An input as it is stored with its job. */
  sealedInput({ id, task }: Pick<Resumable, 'id' | 'task'>, input: unknown): Promise<unknown> {
    return this.#access.sealer.seal(input, { subject: 'input', id, task });
  }

  /** Queues a failed job again, see `replayJob`. */
  replay(queue: string, id: string, replay: JobReplay): Promise<void> {
    return replayJob(this.#access, { queue, id }, replay);
  }

  /** Puts the start of a job that waits for a time off, to so long from now. */
  postpone(queue: string, id: string, ms: number): Promise<void> {
    return postponeJob(this.#access, { queue, id }, ms);
  }

  /** Tells a feed what its sender has added, and starts it. */
  endFeed(queue: string, id: string, told: Fed): Promise<void> {
    return endFeed(this.#access, { queue, id }, told);
  }

  /** Marks what has not ended of the members that a job waits for as not needed any more. Gives what was marked. */
  skipPending(queue: string, id: string, now: number): Promise<MarkedPlace[]> {
    return skipPending(this.#access, { queue, id }, now);
  }

  /** Lets a job end without what it still waits for, which goes on by itself. */
  detachPending(queue: string, id: string): Promise<void> {
    return detachPending(this.#access, { queue, id });
  }

  /** Lets a job end without one of those that it still waits for. */
  detach(parent: JobPlace, child: JobPlace): Promise<void> {
    return detach(this.#access, parent, child);
  }

  /** Tells `who` how the job comes on, until it has ended; no end is missed. Gives a function that stops it. */
  wait(queue: string, id: string, who: JobWait): () => void {
    return this.#watcher(queue).wait(id, who);
  }

  /** The outcome of a job of which is known how it has ended; `pending` if the store says otherwise now. */
  outcomeOfEnd(queue: string, id: string, end: JobEnd, isLeft?: () => boolean): Promise<JobOutcome> {
    return outcomeOfEnd(this.#access, { queue, id }, end, isLeft);
  }

  /** What a job has reported, from the JSON of an event or a look; see `progressIn`. */
  progressIn(queue: string, id: string, text: string, task?: string): Progress | Promise<Progress> {
    return progressIn(this.#access, { queue, id }, text, task);
  }

  /** Calls `listener` when the job reports or ends, as a hint: events may be missed. Gives a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).on(id, listener);
  }

  /** The same for every job in a queue that stands below a job of a run. */
  watchBelow(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).onBelow(id, listener);
  }

  /** @throws {ClosedError} once it is closed. */
  checkOpen(): void {
    refuseClosed(this.#options);
  }

  /** Closes every connection, for good, and ends what waits for them. */
  async close(): Promise<void> {
    await Promise.all([this.#access.backends.close(), this.#endWatchers()]);
  }

  /** The same, but the next use opens new ones. */
  async disconnect(): Promise<void> {
    await Promise.all([this.#access.backends.disconnect(), this.#endWatchers()]);
  }

  async #endWatchers(): Promise<void> {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }

  #watcher(queue: string): Watcher {
    let watcher = this.#watchers.get(queue);
    if (watcher === undefined) {
      watcher = new Watcher(queue, this.#access, this.#options);
      this.#watchers.set(queue, watcher);
    }
    return watcher;
  }
}
