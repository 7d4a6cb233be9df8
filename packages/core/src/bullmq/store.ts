import type { Job } from 'bullmq';
import { CorruptJobError, type FailureOrigin } from '../errors.js';
import { type FlowNode, jobIdOf } from '../flow/node.js';
import { sealTree } from '../flow/seal.js';
import type { NormalizedOptions } from '../tasks/options.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, isEnvelope } from '../wire/envelope.js';
import { SEALED, type Sealer } from '../wire/sealing.js';
import { type BackendOptions, Backends, type EnvelopeQueue } from './backends.js';
import { contentOf, type StoredDeduplication, toFlowJob, toJobOptions } from './job-options.js';
import { type StoredJob, storedJobOf } from './stored-job.js';
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

/** Members that are added in one transaction, which blocks Redis as long as it runs. */
const SLICE = 200;
/** Calls that are added in one round trip. */
export const BULK_SLICE = 500;

/** Where jobs are stored, seen from the sending side: adds, reads and watches. Connects at first use. */
export class Store {
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
  async addRun(run: string, root: FlowNode, timeoutMs: number = this.#options.timeoutMs): Promise<void> {
    const sealed = await sealTree(this.#options.sealer, run, root);
    await this.#backends.reach(timeoutMs, () => this.#backends.flows().add(toFlowJob(run, sealed)));
  }

  /**
   * Adds nodes as further children of a waiting job. Adding the same nodes again changes nothing.
   * @throws {SubmitError} if the store did not take every job.
   */
  async addChildren(
    run: string,
    parent: { path: string; queue: string },
    nodes: readonly FlowNode[],
  ): Promise<void> {
    const { sealer, timeoutMs } = this.#options;
    for (let start = 0; start < nodes.length; start += SLICE) {
      const slice: FlowNode[] = [];
      for (const node of nodes.slice(start, start + SLICE)) slice.push(await sealTree(sealer, run, node));
      await this.#backends.reach(timeoutMs, () => {
        const job = { id: jobIdOf(run, parent.path), queue: this.#backends.qualifiedName(parent.queue) };
        return this.#backends.flows().addBulk(slice.map((node) => toFlowJob(run, node, job)));
      });
    }
  }

  /** Where a job stands; while its handler shows a state of the task's own, that. */
  async state(queue: string, id: string): Promise<string> {
    const state = await this.on(queue, (bull) => bull.getJobState(id));
    switch (state) {
      case 'active':
        return (await this.job(queue, id))?.ownState ?? 'active';
      case 'prioritized':
        return 'waiting';
      case 'failed':
        return (await this.job(queue, id))?.envelope?.failure?.state ?? 'failed';
      default:
        return state;
    }
  }

  /** Whether the store holds the job, also if it cannot be read. */
  async holds(queue: string, id: string): Promise<boolean> {
    return (await this.on(queue, (bull) => bull.getJobState(id))) !== 'unknown';
  }

  async outcome(queue: string, id: string): Promise<JobOutcome> {
    const answer = await this.on(queue, (bull) => bull.getBackend().isFinished(id, true));
    const [status, text] = Array.isArray(answer) ? answer : [answer, ''];
    if (status === -1) return { kind: 'missing' };
    if (status === 1) {
      const context = { subject: 'result', id, task: '' } as const;
      return { kind: 'completed', value: await this.#options.sealer.open(resultOf(id, text), context) };
    }
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
    return Promise.all(
      logs.map(async (line) =>
        isSealedLine(line) ? String(await this.#options.sealer.open(JSON.parse(line), context)) : line,
      ),
    );
  }

  /** Forgets a job that has ended. False if the store does not hold it. */
  async remove(queue: string, id: string): Promise<boolean> {
    return this.on(queue, async (bull) => (await bull.remove(id, { removeChildren: true })) > 0);
  }

  /**
   * Marks a job, and in a run every job that is known yet, as revoked: it does not start any more. What waited for a
   * time is taken up at once, so as to end. Gives the jobs that were marked, the given one first.
   */
  async revoke(queue: string, id: string, now: number): Promise<{ queue: string; id: string }[]> {
    const job = await this.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
    const marked: { queue: string; id: string }[] = [];
    if (job !== undefined) await this.#revokeTree(job, now, marked);
    return marked;
  }

  /** Calls `listener` when the job reports or ends, as a hint: events may be missed. Gives a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    let watcher = this.#watchers.get(queue);
    if (watcher === undefined) {
      watcher = new Watcher(queue, this.#options);
      this.#watchers.set(queue, watcher);
    }
    return watcher.on(id, listener);
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
      if (job === undefined) return;
      if (isEnvelope(job.data)) {
        const { failure: _failure, revoked: _revoked, expires: _expires, ...data } = job.data;
        await job.updateData(data);
      }
      await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    });
  }

  /** Closes every connection, and ends what waits for them. The next use opens new ones. */
  async close(): Promise<void> {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    await Promise.all([this.#backends.close(), ...watchers.map((watcher) => watcher.close())]);
  }

  async #dataOf({ id, name, content, options }: NewJob): Promise<Envelope> {
    const { sealer } = this.#options;
    const own = contentOf(options);
    if (!sealer.isActive || content.input === undefined) return encodeEnvelope({ ...content, ...own });
    const input = await sealer.seal(content.input, { subject: 'input', id, task: name });
    return encodeEnvelope({ ...content, ...own, input });
  }

  async #revokeTree(job: Job<Envelope>, now: number, marked: { queue: string; id: string }[]): Promise<void> {
    if (!isEnvelope(job.data)) return;
    if (job.data.revoked === undefined) await job.updateData({ ...job.data, revoked: now });
    marked.push({ queue: job.queueName, id: job.id ?? '' });
    // A call that is the same would be taken for this one, and never run.
    if (job.deduplicationId !== undefined) await job.removeDeduplicationKey();
    const { unprocessed = [] } = await job.getDependencies({ unprocessed: { count: 10_000 } });
    for (const key of unprocessed) {
      const { queueName, id } = this.#backends.parseKey(key);
      const child = await this.#backends.queue(queueName).getJob(id).catch(ifBroken);
      if (child !== undefined) await this.#revokeTree(child, now, marked);
    }
    if (await job.isDelayed()) await job.promote().catch(() => {}); // a worker may have been quicker
  }
}

/** The result that is stored as this text. @throws {CorruptJobError} if it is no JSON. */
function resultOf(id: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CorruptJobError(id, 'its result is no JSON', { cause });
  }
}

/** Whether a line of a log was encoded by codecs; the lines of other programs may be JSON of their own. */
function isSealedLine(line: string): boolean {
  return line.startsWith(`{"${SEALED}":"`);
}

/** A job whose stored text cannot be read is left to a worker, which fails it with the reason. */
function ifBroken(error: unknown): undefined {
  if (error instanceof SyntaxError) return undefined;
  throw error;
}
