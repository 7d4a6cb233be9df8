/** The base of a backend of the memory store: connection, keys, commands and errors like those of BullMQ's Redis backend. */

import { EventEmitter } from 'node:events';
import {
  ConnectionClosedError,
  ErrorCode,
  isRedisInstance,
  type KeysMap,
  QueueKeys,
  UnrecoverableError,
  type WorkerOptions,
} from 'bullmq';
import { wakeWorkers } from './enqueue.js';
import type { QueueData } from './queue.js';
import type { Store } from './store.js';

/** Replaces a Redis connection: its lifecycle, its name, and the blocking waits that end with it. */
export class Connection extends EventEmitter {
  static #opened = 0;

  readonly id: number;
  name: string;
  closing: Promise<void> | undefined;
  up = false;
  #blockingClosed = false;
  readonly #waits = new Set<() => void>();

  constructor(
    name: string,
    /** A caller-owned Redis client outlives the classes that use it, and so do their commands. */
    readonly outlivesClose: boolean,
    private readonly peers: Set<Connection>,
    /** Resolves when the connection is up. */
    readonly ready: Promise<void>,
  ) {
    super();
    Connection.#opened += 1;
    this.id = Connection.#opened;
    this.name = name;
    peers.add(this);
    void ready.then(() => {
      this.up = true;
      this.emit('ready');
    });
  }

  /** Throws once commands are no longer accepted. */
  assertOpen(): void {
    if (this.closing && !this.outlivesClose) throw new ConnectionClosedError();
  }

  /** Throws while blocking commands are not accepted. */
  assertBlocking(): void {
    if (this.closing || this.#blockingClosed) throw new ConnectionClosedError();
  }

  /** Registers a blocking wait; returns a function that unregisters it. `interrupt` ends the wait early. */
  registerWait(interrupt: () => void): () => void {
    this.#waits.add(interrupt);
    return () => this.#waits.delete(interrupt);
  }

  interruptWaits(): void {
    for (const interrupt of [...this.#waits]) interrupt();
  }

  disconnectBlocking(): void {
    this.#blockingClosed = true;
    this.interruptWaits();
  }

  reconnectBlocking(): void {
    this.#blockingClosed = false;
  }

  close(): Promise<void> {
    this.closing ??= this.#close();
    return this.closing;
  }

  async #close(): Promise<void> {
    this.peers.delete(this);
    this.interruptWaits();
    this.emit('close');
  }
}

/** The context of a refused command. */
export interface Refusal {
  readonly command: string;
  readonly jobId?: string | undefined;
  readonly parentKey?: string | undefined;
  readonly state?: string | undefined;
}

/** Returns the error that BullMQ reports for a refused command, with its `code`. */
export function refusalError(code: number, refusal: Refusal): Error & { code: number } {
  return Object.assign(describe(code, refusal), { code });
}

function describe(code: number, { command, jobId, parentKey, state }: Refusal): Error {
  switch (code) {
    case ErrorCode.JobNotExist:
      return new Error(`Missing key for job ${jobId}. ${command}`);
    case ErrorCode.JobLockNotExist:
      return new Error(`Missing lock for job ${jobId}. ${command}`);
    case ErrorCode.JobNotInState:
      return new Error(`Job ${jobId} is not in the ${state} state. ${command}`);
    case ErrorCode.JobPendingChildren:
      return new Error(`Job ${jobId} has pending dependencies. ${command}`);
    case ErrorCode.ParentJobNotExist:
      return new Error(`Missing key for parent job ${parentKey}. ${command}`);
    case ErrorCode.JobLockMismatch:
      return new Error(`Lock mismatch for job ${jobId}. Cmd ${command} from ${state}`);
    case ErrorCode.ParentJobCannotBeReplaced:
      return new Error(`The parent job ${parentKey} cannot be replaced. ${command}`);
    case ErrorCode.JobBelongsToJobScheduler:
      return new Error(`Job ${jobId} belongs to a job scheduler and cannot be removed directly. ${command}`);
    case ErrorCode.JobHasFailedChildren:
      return new UnrecoverableError(
        `Cannot complete job ${jobId} because it has at least one failed child. ${command}`,
      );
    case ErrorCode.SchedulerJobIdCollision:
      return new Error(`Cannot create job scheduler iteration - job ID already exists. ${command}`);
    case ErrorCode.SchedulerJobSlotsBusy:
      return new Error(
        `Cannot create job scheduler iteration - current and next time slots already have jobs. ${command}`,
      );
    default:
      return new Error(`Unknown code ${code} error for ${jobId}. ${command}`);
  }
}

const DEFAULT_PREFIX = 'bull';

/** The state that all backends of one `memory()` share. */
export interface Shared {
  readonly store: Store;
  readonly connections: Set<Connection>;
}

/** Options that BullMQ's classes pass to a backend: those of a queue are a part of those of a worker. */
export type BackendOptions = Partial<WorkerOptions<unknown>>;

/** The identity and the connection of a backend. */
export class BackendBase extends EventEmitter {
  readonly minimumBlockTimeout = 0.001;
  /** In seconds. Long, because the store wakes a blocked worker, which need not poll. */
  readonly maximumBlockTimeout = 3600;
  readonly #keys: QueueKeys;
  protected readonly queue: QueueData;
  #keysMap: KeysMap | undefined;

  constructor(
    protected readonly shared: Shared,
    protected readonly connection: Connection,
    protected readonly name: string,
    protected readonly options: BackendOptions,
    private readonly owner: boolean,
  ) {
    super();
    this.#keys = new QueueKeys(this.prefix);
    this.queue = shared.store.queue(this.qualifiedName);
    if (!owner) return;
    connection.on('ready', () => this.emit('ready'));
    connection.on('close', () => this.emit('close'));
  }

  protected get prefix(): string {
    return this.options.prefix ?? DEFAULT_PREFIX;
  }

  get qualifiedName(): string {
    return `${this.prefix}:${this.name}`;
  }

  get keys(): KeysMap {
    this.#keysMap ??= this.#keys.getKeys(this.name);
    return this.#keysMap;
  }

  get closing(): Promise<void> | undefined {
    return this.owner ? this.connection.closing : undefined;
  }

  toKey(type: string): string {
    return this.#keys.toKey(this.name, type);
  }

  parseNodeKey(key: string): { prefix: string; queueName: string; id: string } {
    const found = this.shared.store.find(key);
    const queueKey = found?.queue.qualifiedName ?? key.slice(0, key.lastIndexOf(':'));
    const colon = queueKey.lastIndexOf(':');
    return {
      prefix: queueKey.slice(0, colon),
      queueName: queueKey.slice(colon + 1),
      id: key.slice(queueKey.length + 1),
    };
  }

  clientName(suffix = ''): string {
    return `${this.prefix}:${Buffer.from(this.name).toString('base64')}${suffix}`;
  }

  waitUntilReady(): Promise<void> {
    return this.connection.ready;
  }

  async close(_force?: boolean): Promise<void> {
    if (!this.owner) return;
    await this.connection.close();
    // A worker that was woken and is then closed by force takes no job: wake another one.
    wakeWorkers(this.queue);
  }

  async disconnect(): Promise<void> {
    if (this.owner) this.connection.interruptWaits();
  }

  async disconnectBlocking(_wait?: boolean): Promise<void> {
    this.connection.disconnectBlocking();
  }

  async reconnectBlocking(): Promise<void> {
    this.connection.reconnectBlocking();
  }

  // Synchronous, so that the wait for events that follows misses none.
  async setName(name: string): Promise<void> {
    this.connection.name = name;
  }

  getClientList(): Promise<string[]> {
    return this.command(() => {
      const clients = [...this.shared.connections].map(({ id, name }) => `id=${id} addr=memory name=${name}`);
      return [clients.join('\n')];
    });
  }

  /**
   * Runs a command in one synchronous step, at once if the connection is up. The reply arrives in the next turn of the
   * event loop.
   */
  protected command<T>(run: (queue: QueueData) => T): Promise<T> {
    return this.connection.up ? this.#answer(run) : this.connection.ready.then(() => this.#answer(run));
  }

  // Without `await`, because each promise of a command costs as much as a small command.
  #answer<T>(run: (queue: QueueData) => T): Promise<T> {
    const { store } = this.shared;
    let answer: T;
    try {
      this.connection.assertOpen();
      store.commands += 1;
      answer = run(this.queue);
    } catch (error) {
      return store.turn.next().then(() => {
        throw error;
      });
    }
    return store.turn.next().then(() => answer);
  }

  /** Returns the result of a command. @throws the error of a refusal if the result is its code. */
  protected accept<T>(result: T, refusal: Refusal): Exclude<T, number> | (T & number) {
    if (typeof result === 'number' && result < 0) throw refusalError(result, refusal);
    return result as Exclude<T, number> | (T & number);
  }
}

/** Creates a connection with the client name that BullMQ uses for workers. */
export function connect(shared: Shared, name: string, options: BackendOptions, worker: boolean): Connection {
  const base = `${options.prefix ?? DEFAULT_PREFIX}:${Buffer.from(name).toString('base64')}`;
  const clientName = worker ? `${base}${options.name ? `:w:${options.name}` : ''}` : '';
  return new Connection(
    clientName,
    isRedisInstance(options.connection),
    shared.connections,
    shared.store.turn.next(),
  );
}
