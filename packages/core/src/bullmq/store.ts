import {
  CorruptJobError,
  type ErrorRecord,
  type FailureOrigin,
  isUmbelError,
  UpstreamFailedError,
} from '../errors.js';
import { type Children, readMembers } from '../flow/gather.js';
import { type FlowNode, INTERNAL_QUEUE, jobIdOf, type Parent } from '../flow/node.js';
import { sealTree } from '../flow/seal.js';
import { slicesOf } from '../flow/slices.js';
import type { FailedChild } from '../running/job.js';
import type { NormalizedOptions } from '../tasks/options.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, type Fed } from '../wire/envelope.js';
import { isStopped, referredMembers } from '../wire/marks.js';
import { type CodecContext, isSealed, SEALED, type Sealer } from '../wire/sealing.js';
import { sanitize } from '../wire/stored-value.js';
import { type BackendOptions, Backends, type EnvelopeQueue } from './backends.js';
import { contentOf, type StoredDeduplication, toFlowJob, toJobOptions } from './job-options.js';
import { mergeData } from './merge-data.js';
import { requeue, resumeTree } from './resume.js';
import type { ServerFacts } from './server-facts.js';
import { type StoredJob, shownState, storedJobOf } from './stored-job.js';
import {
  childrenOf,
  ifBroken,
  type JobAccess,
  type JobPlace,
  type Mark,
  markTree,
  removeTree,
} from './tree.js';
import { Watcher } from './watcher.js';

export interface StoreOptions extends BackendOptions {
  readonly sealer: Sealer;
  /** How long a command is tried while the store cannot be reached. */
  readonly timeoutMs: number;
}

/** One job to store. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly content: EnvelopeContent;
  readonly options: NormalizedOptions;
  readonly deduplication?: StoredDeduplication;
}

/** How far a job has come. */
export type JobOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly failure: FailureOrigin };

/** Calls that are added in one round trip. */
export const BULK_SLICE = 500;

/** Where jobs are stored, seen from the sending side: adds, reads and watches. Connects at first use. */
export class Store implements JobAccess {
  readonly #options: StoreOptions;
  readonly #backends: Backends;
  readonly #watchers = new Map<string, Watcher>();

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#backends = new Backends(options);
  }

  /** Aborted when this store is closed; what is waited for does not come then. */
  get closed(): AbortSignal {
    return this.#backends.closed;
  }

  /** What the store tells of itself; undefined if it does not. */
  facts(): Promise<ServerFacts | undefined> {
    return this.#backends.reach(this.#options.timeoutMs, () => this.#backends.facts());
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
  async add(job: NewJob, timeoutMs?: number): Promise<string> {
    const { id, name, queue, deduplication } = job;
    const data = await this.#dataOf(job);
    const options = toJobOptions(id, job.options, deduplication);
    const add = async (bull: EnvelopeQueue) => (await bull.add(name, data, options)).id ?? id;
    const added = await this.on(queue, add, timeoutMs);
    if (added === id || deduplication?.mode !== 'debounce') return added;
    // If the call that it should replace has left its delay, the store drops the last one, and not an earlier one.
    return this.on(
      queue,
      async (bull) => {
        if ((await bull.getJobState(added)) === 'delayed') return added;
        await bull.removeDeduplicationKey(deduplication.id);
        return add(bull);
      },
      timeoutMs,
    );
  }

  /**
   * Adds jobs of one queue in one round trip; gives their ids, which are those of equal ones that are there already.
   * @throws {SubmitError} if the store did not take every one.
   */
  async addMany(queue: string, jobs: readonly NewJob[], timeoutMs?: number): Promise<string[]> {
    const entries = await Promise.all(
      jobs.map(async (job) => ({
        name: job.name,
        data: await this.#dataOf(job),
        opts: toJobOptions(job.id, job.options, job.deduplication),
      })),
    );
    const added = await this.on(queue, (bull) => bull.addBulk(entries), timeoutMs);
    return added.map((job, index) => job.id ?? jobs[index]?.id ?? '');
  }

  /**
   * Adds a whole run in one transaction; the same again changes nothing.
   * @throws {SubmitError} if the store did not take every job.
   */
  async addRun(
    run: string,
    root: FlowNode,
    { timeoutMs, isRepeated = false }: AddOptions = {},
  ): Promise<void> {
    const sealed = await sealTree(this.#options.sealer, run, root);
    let mayBeThere = isRepeated;
    await this.#backends.reach(timeoutMs ?? this.#options.timeoutMs, async () => {
      // A child that is there and has failed would be waited for again, and for ever.
      if (mayBeThere && (await this.#isStored(run, root))) return;
      mayBeThere = true;
      await this.#backends.flows().add(toFlowJob(run, sealed));
    });
  }

  /**
   * Adds nodes as further children of a job that has not ended. Adding the same nodes again changes nothing.
   * @throws {SubmitError} if the store did not take every job.
   */
  async addChildren(
    run: string,
    parent: Parent,
    nodes: readonly FlowNode[],
    { timeoutMs, isRepeated = false }: AddOptions = {},
  ): Promise<void> {
    const { sealer } = this.#options;
    const above = { id: jobIdOf(run, parent.path), queue: this.#backends.qualifiedName(parent.queue) };
    for (const slice of slicesOf(nodes)) {
      const sealed: FlowNode[] = [];
      for (const node of slice) sealed.push(await sealTree(sealer, run, node));
      let mayBeThere = isRepeated;
      await this.#backends.reach(timeoutMs ?? this.#options.timeoutMs, async () => {
        // As in `addRun`.
        const missing = mayBeThere ? await this.#notAdded(run, parent, sealed) : sealed;
        mayBeThere = true;
        if (missing.length === 0) return;
        await this.#backends.flows().addBulk(missing.map((node) => toFlowJob(run, node, above)));
      });
    }
  }

  /** Children of internal jobs, by the id of their job. */
  children(): Children {
    return {
      results: async (of = '') => {
        const stored = await this.childResults(INTERNAL_QUEUE, of);
        const opened = new Map<string, unknown>();
        for (const [id, value] of stored) opened.set(id, await this.#opened(id, value));
        return opened;
      },
      failed: (of = '') => this.failedChildren(INTERNAL_QUEUE, of),
      origin: ({ queue, id, reason }) => this.failure(queue, id, reason),
      mayBePending: false,
    };
  }

  /** Results of the children of a job that completed, by job id, as stored. */
  async childResults(queue: string, id: string): Promise<ReadonlyMap<string, unknown>> {
    const values = await this.on(queue, (bull) => bull.getBackend().getProcessedChildrenValues(id));
    return new Map(
      Object.entries(values).map(([key, text]) => {
        const child = this.placeOf(key).id;
        return [child, resultOf(child, text)];
      }),
    );
  }

  /** The children of a job that failed, and did not end it. */
  async failedChildren(queue: string, id: string): Promise<FailedChild[]> {
    const failures = await this.on(queue, (bull) => bull.getBackend().getIgnoredChildrenFailures(id));
    return Object.entries(failures).map(([key, reason]) => ({ ...this.placeOf(key), reason }));
  }

  /** The job that waits for another one, if there is any. */
  async parentOf(queue: string, id: string): Promise<JobPlace | undefined> {
    const job = await this.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
    return job?.parentKey === undefined ? undefined : this.placeOf(job.parentKey);
  }

  /** Where a job stands; while its handler shows a state of the task's own, that. */
  async state(queue: string, id: string): Promise<string> {
    const state = await this.on(queue, (bull) => bull.getJobState(id));
    const isTold = state === 'active' || state === 'completed' || state === 'failed';
    return shownState(state, isTold ? await this.job(queue, id) : undefined);
  }

  /** Whether the store holds the job, also if it cannot be read. */
  async holds(queue: string, id: string): Promise<boolean> {
    return (await this.on(queue, (bull) => bull.getJobState(id))) !== 'unknown';
  }

  async outcome(queue: string, id: string): Promise<JobOutcome> {
    const answer = await this.on(queue, (bull) => bull.getBackend().isFinished(id, true));
    const [status, text] = Array.isArray(answer) ? answer : [answer, ''];
    if (status === -1) return { kind: 'missing' };
    if (status === 1) return this.#completed(queue, id, resultOf(id, text));
    if (status === 2) return { kind: 'failed', failure: await this.failure(queue, id, text) };
    return { kind: 'pending' };
  }

  /** Why a job failed: as its worker recorded it, else what the store says. */
  async failure(queue: string, id: string, reason: string): Promise<FailureOrigin> {
    const job = await this.job(queue, id);
    return (
      job?.envelope?.failure ?? {
        task: job?.name ?? 'unknown',
        jobId: id,
        error: { name: 'Error', message: reason },
      }
    );
  }

  /** The job, or undefined if the store does not hold it. What cannot be read of it is left out. */
  async job(queue: string, id: string, timeoutMs?: number): Promise<StoredJob | undefined> {
    const job = await this.on(queue, (bull) => bull.getJob(id).catch(ifBroken), timeoutMs);
    return job && storedJobOf(this.#options.sealer, queue, job);
  }

  /** Lines that the job's handler has logged, oldest first. */
  async logs(queue: string, id: string): Promise<string[]> {
    const { logs } = await this.on(queue, (bull) => bull.getJobLogs(id));
    const job = logs.some(isSealedLine) ? await this.job(queue, id) : undefined;
    const context = { subject: 'log', id, task: job?.name ?? '' } as const;
    return Promise.all(logs.map((line) => (isSealedLine(line) ? this.#openedLine(line, context) : line)));
  }

  /** Forgets a job that has ended, and those below it, but for what still runs. False if the store does not hold it. */
  async remove(queue: string, id: string): Promise<boolean> {
    // The keys of a queue stand beside those of its jobs: what is no job is not touched.
    if (!(await this.holds(queue, id))) return false;
    return removeTree(this, { queue, id });
  }

  /**
   * Marks a job, and in a run every job that is known yet, as revoked: it does not start any more. What waited for a
   * time is taken up at once, so as to end. Gives the jobs that were marked, the given one first.
   */
  async revoke(queue: string, id: string, mark: Mark): Promise<JobPlace[]> {
    const marked = new Map<string, JobPlace>();
    // W18: a worker that was just adding jobs, and died before it looked for marks, has added them by the second time.
    for (let pass = 0; pass < 2; pass += 1)
      for await (const place of markTree(this, { queue, id }, mark))
        marked.set(`${place.queue}/${place.id}`, place);
    return [...marked.values()];
  }

  /** Runs what has failed of a job or a run again, see `resumeTree`. Gives the number of jobs that run again. */
  async resume(queue: string, id: string): Promise<number> {
    return resumeTree(this, { queue, id });
  }

  /** Puts the start of a job that waits for a time off, to so long from now. */
  async postpone(queue: string, id: string, ms: number): Promise<void> {
    await this.on(queue, async (bull) => {
      const job = await bull.getJob(id);
      if (await job?.isDelayed()) await job?.changeDelay(ms);
    });
  }

  /** Tells a feed what its sender has added, and starts it. */
  async endFeed(queue: string, id: string, told: Fed): Promise<void> {
    const context = { subject: 'failure', id, task: '' } as const;
    const fed =
      'error' in told
        ? { error: (await this.#options.sealer.seal(told.error, context)) as ErrorRecord } // or its sealed form
        : told;
    await this.on(queue, async (bull) => {
      const isTold = await mergeData(bull.getBackend(), id, (data) => ({ ...data, fed }));
      const job = isTold && (await bull.getJob(id));
      if (await job?.isDelayed()) await job?.promote();
    });
  }

  /** What of a run was revoked: all of it, or what bears one of the tags. Undefined if the store does not hold it. */
  async revokedOf({ queue, id }: JobPlace): Promise<Revoked | undefined> {
    const job = await this.job(queue, id);
    if (job === undefined) return undefined;
    const { revoked, revokedTags = [] } = job.envelope ?? {};
    return { all: revoked !== undefined, tags: revokedTags };
  }

  /** The job above all others that wait for this one. */
  async topOf(place: JobPlace): Promise<JobPlace> {
    for (let top = place; ; ) {
      const parent = await this.parentOf(top.queue, top.id);
      if (parent === undefined) return top;
      top = parent;
    }
  }

  /** Marks what a job still waits for as not needed any more. */
  async skipPending(queue: string, id: string, now: number): Promise<void> {
    for await (const child of childrenOf(this, { queue, id }, ['unprocessed'])) {
      for await (const _ of markTree(this, child, { now, skipped: true }));
    }
  }

  /** Lets a job end without what it still waits for, which goes on by itself. */
  async detachPending(queue: string, id: string): Promise<void> {
    const parent = { queue, id };
    for await (const child of childrenOf(this, parent, ['unprocessed'])) await this.detach(parent, child);
  }

  /** Lets a job end without one of those that it still waits for. */
  async detach(parent: JobPlace, child: JobPlace): Promise<void> {
    const above = `${this.#backends.qualifiedName(parent.queue)}:${parent.id}`;
    await this.on(child.queue, (bull) => bull.getBackend().removeChildDependency(child.id, above));
  }

  /** Adds a job of this id below another one; one that is there stays as it is, and its parent is told if it has completed. */
  async addBelow(parent: JobPlace, { queue, id }: JobPlace, name: string, data: object): Promise<void> {
    const above = { id: parent.id, queue: this.#backends.qualifiedName(parent.queue) };
    const opts = { jobId: id, parent: above, continueParentOnFailure: true };
    await this.#backends.reach(this.#options.timeoutMs, () =>
      this.#backends.flows().add({ name, queueName: queue, data, opts }),
    );
  }

  /** Calls `listener` when the job reports or ends, as a hint: events may be missed. Gives a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).on(id, listener);
  }

  /** The same for every job in a queue that stands below a job of a run. */
  watchBelow(queue: string, id: string, listener: () => void): () => void {
    return this.#watcher(queue).onBelow(id, listener);
  }

  placeOf(key: string): JobPlace {
    const { queueName, id } = this.#backends.parseKey(key);
    return { queue: queueName, id };
  }

  /** What `command` gives of a queue, tried while the store cannot be reached. */
  on<T>(
    queue: string,
    command: (queue: EnvelopeQueue) => Promise<T>,
    timeoutMs: number = this.#options.timeoutMs,
  ): Promise<T> {
    return this.#backends.reach(timeoutMs, () => command(this.#backends.queue(queue)));
  }

  /** Failed jobs of a queue, the latest first. */
  async failed(queue: string, offset: number, limit: number): Promise<StoredJob[]> {
    const ids: string[] = await this.on(queue, (bull) =>
      bull.getRanges(['failed'], offset, offset + limit - 1, false),
    );
    const jobs = await Promise.all(ids.map((id) => this.job(queue, id)));
    return jobs.filter((job) => job !== undefined);
  }

  /** Queues a failed job again, with all its attempts, and without the mark of a revocation or an expiry. */
  async retry(queue: string, id: string): Promise<void> {
    await this.on(queue, async (bull) => {
      const job = await bull.getJob(id);
      if (job !== undefined) await requeue(bull, job);
    });
  }

  /** Closes every connection, and ends what waits for them. The next use opens new ones. */
  async close(): Promise<void> {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    await Promise.all([this.#backends.close(), ...watchers.map((watcher) => watcher.close())]);
  }

  #watcher(queue: string): Watcher {
    let watcher = this.#watchers.get(queue);
    if (watcher === undefined) {
      watcher = new Watcher(queue, this.#options);
      this.#watchers.set(queue, watcher);
    }
    return watcher;
  }

  async #dataOf({ id, name, content, options }: NewJob): Promise<Envelope> {
    const { sealer } = this.#options;
    const own = contentOf(options);
    if (!sealer.isActive || content.input === undefined) return encodeEnvelope({ ...content, ...own });
    const input = await sealer.seal(content.input, { subject: 'input', id, task: name });
    return encodeEnvelope({ ...content, ...own, input });
  }

  /** The result of a job; of a large group, the failure if a member's result is gone. */
  async #completed(queue: string, id: string, stored: unknown): Promise<JobOutcome> {
    try {
      return { kind: 'completed', value: await this.#valueOf(queue, id, stored) };
    } catch (error) {
      if (!(error instanceof UpstreamFailedError)) throw error;
      return { kind: 'failed', failure: error.origin };
    }
  }

  /** The result that a job has given, from what is stored of it. */
  async #valueOf(queue: string, id: string, stored: unknown): Promise<unknown> {
    const value = await this.#opened(id, stored);
    if (isStopped(value)) return value.value;
    const members = referredMembers(value);
    if (members === undefined) return value;
    const { run = id } = (await this.job(queue, id))?.envelope ?? {};
    return readMembers({ id, run }, this.children(), members);
  }

  /** The line, or what is stored where no codec here can decode it. */
  async #openedLine(line: string, context: CodecContext): Promise<string> {
    try {
      return String(await this.#options.sealer.open(JSON.parse(line), context));
    } catch (error) {
      if (error instanceof SyntaxError || isUmbelError(error, 'CORRUPT_JOB')) return line;
      throw error;
    }
  }

  #opened(id: string, value: unknown): unknown {
    return isSealed(value) ? this.#options.sealer.open(value, { subject: 'result', id, task: '' }) : value;
  }

  async #isStored(run: string, { path, queue }: FlowNode): Promise<boolean> {
    return (await this.#backends.queue(queue).getJobState(jobIdOf(run, path))) !== 'unknown';
  }

  /** W13: its parent knows a child that has ended also after its record has expired. */
  async #notAdded(run: string, parent: Parent, nodes: readonly FlowNode[]): Promise<FlowNode[]> {
    const known = new Set<string>();
    const place = { queue: parent.queue, id: jobIdOf(run, parent.path) };
    for await (const { id } of childrenOf(this, place)) known.add(id);
    const unknown = nodes.filter(({ path }) => !known.has(jobIdOf(run, path)));
    const areStored = await Promise.all(unknown.map((node) => this.#isStored(run, node)));
    return unknown.filter((_, index) => !areStored[index]);
  }
}

/** What of a run was revoked. */
export interface Revoked {
  readonly all: boolean;
  readonly tags: readonly string[];
}

export interface AddOptions {
  /** How long it is tried while the store cannot be reached. */
  readonly timeoutMs?: number | undefined;
  /** It may have been added before. */
  readonly isRepeated?: boolean;
}

/** The result that is stored as this text. @throws {CorruptJobError} if it is no JSON, or nothing to give on. */
function resultOf(id: string, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CorruptJobError(id, 'its result is no JSON', { cause });
  }
  checkResult(id, value);
  return value;
}

/** @throws {CorruptJobError} if a result that was parsed is none to give on. */
export function checkResult(id: string, value: unknown): void {
  const fault = sanitize(value);
  if (fault !== undefined) throw new CorruptJobError(id, `its result cannot be used: ${fault}`);
}

/** Whether a line of a log was encoded by codecs; the lines of other programs may be JSON of their own. */
function isSealedLine(line: string): boolean {
  return line.startsWith(`{"${SEALED}":"`);
}
