import { type BackendFactory, type IQueueBackend, Queue, type QueueOptions } from 'bullmq';
import { ClosedError, ConnectionError, isUmbelError, StoreConfigurationError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { createAbortController } from '../base/wait.js';
import type { Envelope } from '../job/envelope.js';
import { adviceOn, isMissingDatabase, isRefusedRight, isRefusedUser, reasonOf } from './advice.js';
import { type ResolvedConnection, type ServerFacts, serverFacts } from './connection.js';
import { checksAdded } from './guards/added.js';
import { runsWholeScripts, slicesFlows } from './guards/scripts.js';
import { keepsStoreTime } from './guards/store-time.js';
import { isTransient } from './guards/transient.js';
import { readsWhole } from './guards/unreadable-jobs.js';
import { Deadlines } from './held-job.js';
import { EXACT_MS, type StoreTime } from './store-time.js';

// The end of an app's connections: none is opened any more, and those that are open end within a time, whatever the
// store does.

/** What of an app connects. */
export interface Connecting {
  readonly connection: ResolvedConnection;
  /** Aborted when the app is closed. */
  readonly closing: AbortController;
}

/** A store that is away, or frozen, answers no farewell. */
const FAREWELL_MS = 2000;

/** @throws {ClosedError} once the app is closed. */
export function refuseClosed({ closing }: Pick<Connecting, 'closing'>): void {
  if (closing.signal.aborted) throw appClosed();
}

export function appClosed(options?: ErrorOptions): ClosedError {
  return new ClosedError('The app was closed: create another one with createApp().', options);
}

/** Every connection of an app is opened here. @throws {ClosedError} once the app is closed. */
export function connect(of: Connecting, ...args: Parameters<BackendFactory<IQueueBackend>>): IQueueBackend {
  refuseClosed(of);
  return of.connection.factory(...args);
}

/** The error of a call whose connections were closed under it: that they are gone is no outage. */
export function errorOfClosed(error: unknown): unknown {
  const isOutage = isUmbelError(error, 'CONNECTION') || isTransient(error);
  return isOutage ? appClosed({ cause: error }) : error;
}

/** Settles when `closed` does; cuts the backend off if that takes too long. Never rejects: it is of no use any more. */
export async function endBackend(backend: IQueueBackend, closed: Promise<unknown>): Promise<void> {
  if (await settlesSoon(closed)) return;
  // One ends what was never connected, the other what was: neither is waited for, since both wait for the store.
  backend.close(true).catch(() => {});
  backend.disconnect().catch(() => {});
}

/** Whether it settles within the time that a store may take. */
export async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), FAREWELL_MS);
  });
  const isSettled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([isSettled, late]);
  } finally {
    clearTimeout(timer);
  }
}

export type EnvelopeQueue = Queue<Envelope, unknown, string, Envelope, unknown, string, IQueueBackend>;

export interface BackendOptions extends Connecting {
  readonly prefix: string;
  readonly onError: (error: Error) => void;
  /** Resolves after a time, before a command is tried again. */
  readonly pause: (ms: number) => Promise<void>;
  readonly time: StoreTime;
  /** Errors of commands of this store that say that it is away, noted where they arise. */
  readonly outages: WeakSet<Error>;
  /**
   * Whether nobody else takes jobs from this store, as in a test: then no lock has to be renewed, and no timer of a
   * worker keeps the process alive. Default false.
   */
  readonly isUnshared?: boolean;
}

/** What goes on from one opening of connections to their end. */
interface Session {
  /** Aborted at the end. */
  readonly ending: AbortController;
  /** Of the calls that are under way. */
  readonly deadlines: Deadlines;
}

function newSession(): Session {
  return { ending: createAbortController(), deadlines: new Deadlines() };
}

/** Until when a command is tried. */
interface Wait {
  readonly session: Session;
  readonly timeoutMs: number;
  /** By `performance.now()`. */
  readonly deadline: number;
}

function rethrow(error: unknown): Promise<never> {
  return Promise.reject(error);
}

const RETRY_MS = { first: 20, max: 1000 };

/** The store is asked for its time so often, until an answer comes quickly: one that was frozen, or away, tells little. */
const MAX_READINGS = 3;

/** A factory, and `forQueue`, may give the same backend twice; a guard stands once. */
const guarded = new WeakSet<IQueueBackend>();

/** BullMQ's classes of the sending side, on one connection that is opened at the first use. */
export class QueuePool {
  readonly #options: BackendOptions;
  readonly #queues = new Map<string, EnvelopeQueue>();
  #base: IQueueBackend | undefined;
  #ready: Promise<void> | undefined;
  /** Whether `#ready` has resolved. */
  #isReady = false;
  /** While the store is asked for its time. */
  #readingTime: Promise<void> | undefined;
  #lastError: Error | undefined;
  #session = newSession();

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Aborted when this is closed, or disconnected. */
  get closed(): AbortSignal {
    return this.#session.ending.signal;
  }

  base(): IQueueBackend {
    if (this.#base === undefined) {
      const { connection, prefix, onError } = this.#options;
      const options: QueueOptions = { connection: connection.options, prefix };
      this.#base = this.#guarded(connect(this.#options, '', options));
      this.#base.on('error', (error: Error) => {
        this.#lastError = error;
        onError(error);
      });
    }
    return this.#base;
  }

  queue(name: string): EnvelopeQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      const { connection, prefix, onError } = this.#options;
      const shared = this.#guarded(this.base().forQueue(name, prefix));
      queue = new Queue(name, { connection: connection.options, prefix }, () => shared);
      queue.on('error', onError);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** The qualified name of a queue, by which jobs refer to their parent's. */
  qualifiedName(queue: string): string {
    return this.base().forQueue(queue, this.#options.prefix).qualifiedName;
  }

  /** The queue and the id in a key by which jobs refer to each other. */
  parseKey(key: string): { queueName: string; id: string } {
    return this.base().parseNodeKey(key);
  }

  /**
   * What `command` gives. Tried again, with growing waits, while the store cannot be reached or is not ready; so the
   * command must be one that changes nothing when it is repeated.
   * @throws {ConnectionError} after `timeoutMs`.
   */
  reach<T>(timeoutMs: number, command: () => Promise<T>): Promise<T> {
    if (this.#options.closing.signal.aborted) return Promise.reject(appClosed());
    const now = performance.now();
    // Nobody waits for it: this command goes by what is known, and the next ones by what is read.
    if (this.#isReady && this.#options.time.isDue(now)) this.#readTime().catch(() => {});
    const wait: Wait = { session: this.#session, timeoutMs, deadline: now + timeoutMs };
    // Nearly all arrive at once: they get by with this one promise.
    return this.#within(wait, command, (error) => this.#reachAgain(wait, command, error));
  }

  /** The same, after a first try that has ended with an error. */
  async #reachAgain<T>(wait: Wait, command: () => Promise<T>, first: unknown): Promise<T> {
    const { session, timeoutMs, deadline } = wait;
    const { signal } = session.ending;
    let error = first;
    for (let pauseMs = RETRY_MS.first; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS.max)) {
      if (signal.aborted) throw this.#told(this.#closedUnder(error));
      if (error instanceof ConnectionError || !isTransient(error)) throw this.#told(error);
      this.#forgetReady();
      this.#lastError = error as Error;
      if (performance.now() + pauseMs >= deadline) throw this.#unreachable(timeoutMs);
      await this.#options.pause(pauseMs);
      if (signal.aborted) throw this.#closedUnder(error);
      try {
        return await this.#within(wait, command, rethrow);
      } catch (again) {
        error = again;
      }
    }
  }

  /** Closes every connection, for good. What is under way ends: with its answer, if that comes soon, or with an error. */
  close(): Promise<void> {
    this.#options.closing.abort(appClosed());
    return this.disconnect();
  }

  /** The same, but the next use opens new ones. */
  async disconnect(): Promise<void> {
    const { ending, deadlines } = this.#session;
    this.#session = newSession();
    ending.abort(new ClosedError('The app was closed while a caller waited for a result.'));
    await settlesSoon(deadlines.idle()); // a call that nobody waits for is not to fail
    const base = this.#base;
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    this.#base = undefined;
    this.#forgetReady();
    if (base !== undefined) {
      const closed = Promise.all(queues.map((queue) => queue.close())).then(() => base.close());
      await endBackend(base, closed);
    }
    deadlines.expireAll(); // no answer comes any more
  }

  /** What the store tells of itself, now; undefined if it does not. */
  async facts(): Promise<ServerFacts | undefined> {
    const backend = this.base();
    let facts = await serverFacts(backend);
    for (let readings = 1; readings < MAX_READINGS; readings += 1) {
      const errorMs = facts?.clock?.errorMs ?? 0;
      if (errorMs <= EXACT_MS) break;
      const again = await serverFacts(backend);
      if ((again?.clock?.errorMs ?? errorMs) < errorMs) facts = again;
    }
    this.#options.time.note(facts?.clock);
    return facts;
  }

  /** Settles once the time of the store is known; connecting asks for it. */
  async timeKnown(): Promise<void> {
    if (!this.#options.time.isKnown) await this.#readTime();
  }

  #readTime(): Promise<void> {
    this.#readingTime ??= this.facts()
      .then(
        () => {},
        (error: unknown) => {
          this.#options.time.postpone();
          throw error;
        },
      )
      .finally(() => {
        this.#readingTime = undefined;
      });
    return this.#readingTime;
  }

  async #connect(): Promise<void> {
    await this.base().waitUntilReady();
    // The client goes on, in the first database instead.
    if (isMissingDatabase(this.#lastError)) throw this.#lastError;
    await runsWholeScripts(this.base());
    await this.facts();
  }

  /** The backend itself, with the guards of the sending side: BullMQ's classes compare backends. */
  #guarded(backend: IQueueBackend): IQueueBackend {
    if (guarded.has(backend)) return backend;
    guarded.add(backend);
    keepsStoreTime(backend, this.#options.time);
    readsWhole(backend);
    checksAdded(backend);
    slicesFlows(backend);
    return backend;
  }

  /** What the command gives, once this is connected; if it fails in time, what `instead` makes of its error. */
  #within<T>(
    { session, deadline, timeoutMs }: Wait,
    command: () => Promise<T>,
    instead: (error: unknown) => Promise<T>,
  ): Promise<T> {
    const { deadlines } = session;
    return new Promise((resolve, reject) => {
      const limit = deadlines.set(deadline, () => {
        this.#forgetReady();
        reject(session.ending.signal.aborted ? appClosed() : this.#told(this.#unreachable(timeoutMs)));
      });
      const fail = (error: unknown) => {
        if (deadlines.clear(limit)) resolve(instead(error));
      };
      try {
        const answer = this.#isReady ? command() : this.#connected().then(command);
        answer.then((value) => {
          deadlines.clear(limit);
          resolve(value);
        }, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #connected(): Promise<void> {
    if (this.#ready === undefined) {
      const ready = this.#connect();
      this.#ready = ready;
      ready.then(
        () => {
          this.#isReady = this.#ready === ready;
        },
        () => {}, // told to whoever waits for it
      );
    }
    return this.#ready;
  }

  #forgetReady(): void {
    this.#ready = undefined;
    this.#isReady = false;
  }

  /** An error as it is, but for what is to be changed in the store. */
  #told(error: unknown): unknown {
    if (!isRefusedRight(error) && !isMissingDatabase(error)) return error;
    const advice = adviceOn(error, this.#options.connection);
    return new StoreConfigurationError(`The store rejected a command (${error.message}). ${advice}`, {
      cause: error,
    });
  }

  #unreachable(timeoutMs: number): ConnectionError {
    const cause = this.#lastError;
    const reason = cause === undefined ? '' : ` (${reasonOf(cause)})`;
    const seconds = `${timeoutMs / 1000} s`;
    const what = isRefusedUser(cause)
      ? `rejected the credentials for ${seconds}`
      : `did not answer within ${seconds}`;
    const advice = adviceOn(cause, this.#options.connection);
    return this.#asOutage(new ConnectionError(`The store ${what}${reason}. ${advice}`, { cause }));
  }

  /** The error of a call whose connections were closed under it. It is not charged to a handler that made the call. */
  #closedUnder(error: unknown): unknown {
    const told = errorOfClosed(error);
    return told instanceof ClosedError ? this.#asOutage(told) : told;
  }

  #asOutage<T extends Error>(error: T): T {
    this.#options.outages.add(error);
    return error;
  }
}
