import {
  type BackendFactory,
  type JobState as BullState,
  FlowProducer,
  type FlowProducerOptions,
  type IQueueBackend,
  Queue,
} from 'bullmq';
import { ClosedError, ConnectionError, type FailureOrigin } from '../errors.js';
import { type FlowNode, jobIdOf } from '../flow/node.js';
import type { JobState } from '../results/state.js';
import type { NormalizedOptions } from '../tasks/options.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope } from '../wire/envelope.js';
import type { ResolvedConnection } from './connection.js';
import { checkFlowEntries } from './guard.js';
import { headersOf, toFlowJob, toJobOptions } from './job-options.js';
import { Watcher } from './watcher.js';

type EnvelopeQueue = Queue<Envelope, unknown, string, Envelope, unknown, string, IQueueBackend>;

export interface StoreOptions {
  readonly connection: ResolvedConnection;
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

/** One job to store. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly content: EnvelopeContent;
  readonly options: NormalizedOptions;
}

/** How far a job has come. */
export type JobOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly failure: FailureOrigin };

/** How long the first use waits for the store before it gives up. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Members that are added in one transaction, which blocks Redis as long as it runs. */
const SLICE = 200;

/** Where jobs are stored, seen from the sending side: adds, reads and watches. Connects at first use. */
export class Store {
  readonly #options: StoreOptions;
  readonly #queues = new Map<string, EnvelopeQueue>();
  readonly #watchers = new Map<string, Watcher>();
  #backend: IQueueBackend | undefined;
  #flows: FlowProducer<IQueueBackend> | undefined;
  #ready: Promise<void> | undefined;
  #closed = new AbortController();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  async add({ id, name, queue, content, options }: NewJob): Promise<void> {
    await this.#connected();
    await this.#queue(queue).add(
      name,
      encodeEnvelope({ ...content, ...headersOf(options) }),
      toJobOptions(id, options),
    );
  }

  /** Adds a whole run in one transaction. @throws {SubmitError} if the store did not take every job. */
  async addRun(run: string, root: FlowNode): Promise<void> {
    await this.#connected();
    await this.#flowProducer().add(toFlowJob(run, root));
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
    await this.#connected();
    const parentJob = {
      id: jobIdOf(run, parent.path),
      queue: this.#base().forQueue(parent.queue, this.#options.prefix).qualifiedName,
    };
    for (let start = 0; start < nodes.length; start += SLICE) {
      const slice = nodes.slice(start, start + SLICE);
      await this.#flowProducer().addBulk(slice.map((node) => toFlowJob(run, node, parentJob)));
    }
  }

  async state(queue: string, id: string): Promise<JobState> {
    await this.#connected();
    return toState(await this.#queue(queue).getJobState(id));
  }

  async outcome(queue: string, id: string): Promise<JobOutcome> {
    await this.#connected();
    const answer = await this.#queue(queue).getBackend().isFinished(id, true);
    const [status, text] = Array.isArray(answer) ? answer : [answer, ''];
    if (status === -1) return { kind: 'missing' };
    if (status === 1) return { kind: 'completed', value: JSON.parse(text) };
    if (status === 2) return { kind: 'failed', failure: await this.failure(queue, id, text) };
    return { kind: 'pending' };
  }

  /** Why a job failed: as its worker recorded it, else what the store says. */
  async failure(queue: string, id: string, reason: string): Promise<FailureOrigin> {
    await this.#connected();
    const job = await this.#queue(queue).getJob(id);
    const recorded = job?.data?.failure;
    return recorded ?? { task: job?.name ?? 'unknown', jobId: id, error: { name: 'Error', message: reason } };
  }

  /** Calls `listener` when the job ends, as a hint: events may be missed. Gives a function that stops it. */
  watch(queue: string, id: string, listener: () => void): () => void {
    let watcher = this.#watchers.get(queue);
    if (watcher === undefined) {
      watcher = new Watcher(queue, this.#options);
      this.#watchers.set(queue, watcher);
    }
    return watcher.on(id, listener);
  }

  /** Aborted when this store is closed; what is waited for does not come then. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Closes every connection, and ends what waits for them. The next use opens new ones. */
  async close(): Promise<void> {
    this.#closed.abort(new ClosedError('The app was closed while a result was waited for.'));
    this.#closed = new AbortController();
    const closing = [...this.#watchers.values(), ...this.#queues.values(), this.#flows];
    const backend = this.#backend;
    this.#watchers.clear();
    this.#queues.clear();
    this.#flows = undefined;
    this.#backend = undefined;
    this.#ready = undefined;
    await Promise.all(closing.map((part) => part?.close()));
    await backend?.close();
  }

  /** All queues and flows of the sending side share one connection. */
  #base(): IQueueBackend {
    if (this.#backend === undefined) {
      const { connection, prefix, onError } = this.#options;
      const options: FlowProducerOptions = { connection: connection.options, prefix };
      this.#backend = checkFlowEntries(connection.factory('', options));
      this.#backend.on('error', onError);
    }
    return this.#backend;
  }

  #queue(name: string): EnvelopeQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      const { connection, prefix, onError } = this.#options;
      const shared = this.#base().forQueue(name, prefix);
      queue = new Queue(name, { connection: connection.options, prefix }, () => shared);
      queue.on('error', onError);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #flowProducer(): FlowProducer<IQueueBackend> {
    if (this.#flows === undefined) {
      const { connection, prefix } = this.#options;
      const base = this.#base();
      const factory: BackendFactory<IQueueBackend> = () => base;
      this.#flows = new FlowProducer<IQueueBackend>({ connection: connection.options, prefix }, factory);
    }
    return this.#flows;
  }

  #connected(): Promise<void> {
    this.#ready ??= this.#connect().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  async #connect(): Promise<void> {
    const backend = this.#base();
    let last: Error | undefined;
    const remember = (error: Error) => {
      last = error;
    };
    backend.on('error', remember);
    let timer: NodeJS.Timeout | undefined;
    try {
      await Promise.race([
        backend.waitUntilReady(),
        new Promise((_, reject) => {
          timer = setTimeout(() => reject(unreachable(last)), CONNECT_TIMEOUT_MS);
        }),
      ]);
    } finally {
      clearTimeout(timer);
      backend.removeListener('error', remember);
    }
  }
}

function unreachable(cause: Error | undefined): ConnectionError {
  const reason = cause === undefined ? '' : ` (${cause.message || cause.name})`;
  return new ConnectionError(
    `The store did not answer within ${CONNECT_TIMEOUT_MS / 1000} s${reason}. ` +
      'Is it running, and is `connection` or UMBEL_URL its address?',
    { cause },
  );
}

function toState(state: BullState | 'unknown'): JobState {
  return state === 'prioritized' ? 'waiting' : state;
}
