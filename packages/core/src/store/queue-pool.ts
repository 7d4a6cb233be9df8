/**
 * This module opens an app's connections for sending, retries commands while the store is unreachable, and closes the
 * connections within a time limit. All of `store/` uses it.
 */
import { type BackendFactory, type IQueueBackend, Queue, type QueueOptions } from 'bullmq';
import { ClosedError, ConnectionError, isUmbelError, StoreConfigurationError } from '../base/errors.js';
import { clearTimeout, performance, setTimeout } from '../base/real-timers.js';
import { createAbortController, retryAfter } from '../base/wait.js';
import type { Envelope } from '../job/envelope.js';
import { adviceOn, reasonOf } from './advice.js';
import { driverOf, isTransient, refusalOf } from './engine/drivers.js';
import type { Engine, ServerFacts } from './engine/engine.js';
import { checksAdded, slicesFlows } from './guards/added.js';
import { readsWhole } from './guards/unreadable-jobs.js';
import { Deadlines } from './held-job.js';
import { EXACT_MS, type StoreTime } from './store-time.js';

// Closing: no new connection is opened, and open ones end within a time limit, even if the store does not answer.

/** The parts of an app that opening a connection needs. */
export interface Connecting {
  readonly connection: Engine;
  /** Aborted when the app is closed. */
  readonly closing: AbortController;
}

/** Time limit for closing: an unreachable or frozen store never confirms it. */
const CLOSE_MS = 2000;

/** @throws {ClosedError} once the app is closed. */
export function refuseClosed({ closing }: Pick<Connecting, 'closing'>): void {
  if (closing.signal.aborted) throw appClosed();
}

export function appClosed(options?: ErrorOptions): ClosedError {
  return new ClosedError('The app was closed: create another one with createApp().', options);
}

/** Opens a connection; the only place that does. @throws {ClosedError} once the app is closed. */
export function connect(app: Connecting, ...args: Parameters<BackendFactory<IQueueBackend>>): IQueueBackend {
  refuseClosed(app);
  return app.connection.factory(...args);
}

/** Returns the error of a call whose connections were closed while it ran: closing is not an outage. */
function errorOfClosed(error: unknown): unknown {
  const isOutage = isUmbelError(error, 'CONNECTION') || isTransient(error);
  return isOutage ? appClosed({ cause: error }) : error;
}

/** Settles when `closed` does, and disconnects the backend if that takes too long. Never rejects. */
export async function endBackend(backend: IQueueBackend, closed: Promise<unknown>): Promise<void> {
  if (await settlesSoon(closed)) return;
  // `close` ends a connection that was never ready, `disconnect` a ready one. Both may wait for the store, so no await.
  backend.close(true).catch(() => {});
  backend.disconnect().catch(() => {});
}

/** Returns whether a promise settles within the time limit for closing. */
async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), CLOSE_MS);
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
  /** Resolves after a time; used before a command is retried. */
  readonly pause: (ms: number) => Promise<void>;
  readonly time: StoreTime;
  /** Errors of commands that failed because the store is unreachable, added where they arise. */
  readonly outages: WeakSet<Error>;
  /**
   * Whether no other process takes jobs from this store, as in a test. Then no lock is renewed, and no timer of a worker
   * keeps the process alive. Default false.
   */
  readonly isUnshared?: boolean;
  /** The pool of the app, if the commands of this one run in a transaction of the user. */
  readonly outer?: QueuePool;
}

/** State from one opening of the connections until they are closed. */
interface Session {
  /** Aborted at the end. */
  readonly ending: AbortController;
  /** Deadlines of pending calls. */
  readonly deadlines: Deadlines;
}

function newSession(): Session {
  return { ending: createAbortController(), deadlines: new Deadlines() };
}

/** Time limit of a command. */
interface Wait {
  readonly session: Session;
  readonly timeoutMs: number;
  /** In the time of `performance.now()`. */
  readonly deadline: number;
}

function rethrow(error: unknown): Promise<never> {
  return Promise.reject(error);
}

const RETRY_MS = { first: 20, max: 1000 };

/** Maximum number of readings of the store's time until one is quick: a slow answer makes the reading inexact. */
const MAX_READINGS = 3;

/** Backends that have their guards: a factory and `forQueue` may return the same backend twice. */
const guarded = new WeakSet<IQueueBackend>();

/** Holds BullMQ's queues for sending, on one connection that is opened at first use. */
export class QueuePool {
  readonly #options: BackendOptions;
  readonly #queues = new Map<string, EnvelopeQueue>();
  #base: IQueueBackend | undefined;
  #ready: Promise<void> | undefined;
  /** Whether `#ready` has resolved. */
  #isReady = false;
  /** Pending reading of the store's time. */
  #readingTime: Promise<void> | undefined;
  #lastError: Error | undefined;
  #session = newSession();

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Aborted when this pool is closed or disconnected. */
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

  /** Whether it is connected, so that the next command waits for no other. */
  get isReady(): boolean {
    return this.#isReady;
  }

  queue(name: string): EnvelopeQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      const { connection, prefix, onError, outer } = this.#options;
      const shared = this.#guarded(this.base().forQueue(name, prefix));
      // In a transaction, BullMQ must not write its version: nobody awaits that.
      const skipMetasUpdate = outer !== undefined;
      queue = new Queue(name, { connection: connection.options, prefix, skipMetasUpdate }, () => shared);
      queue.on('error', onError);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Returns the qualified name of a queue, by which jobs refer to the queue of their parent. */
  qualifiedName(queue: string): string {
    return this.base().forQueue(queue, this.#options.prefix).qualifiedName;
  }

  /** Returns the queue and the id in a key by which jobs refer to each other. */
  parseKey(key: string): { queueName: string; id: string } {
    return this.base().parseNodeKey(key);
  }

  /**
   * Returns the result of `command`. Retries it with growing delays while the store is unreachable or not ready; so the
   * command must be idempotent.
   * @throws {ConnectionError} after `timeoutMs`.
   */
  reach<T>(timeoutMs: number, command: () => Promise<T>): Promise<T> {
    const { outer } = this.#options;
    // A command is not repeated in a transaction: an error has aborted it, and only the user can begin another one.
    if (outer !== undefined) return outer.reach(timeoutMs, async () => {}).then(command);
    if (this.#options.closing.signal.aborted) return Promise.reject(appClosed());
    const now = performance.now();
    // Do not wait for the reading: this command uses the known offset, later commands the new one.
    if (this.#isReady && this.#options.time.isDue(now)) this.#readTime().catch(() => {});
    const openingMs = this.#isReady ? 0 : (this.#options.connection.openingMs ?? 0);
    const wait: Wait = { session: this.#session, timeoutMs, deadline: now + timeoutMs + openingMs };
    // Nearly all commands succeed at once, with this one promise.
    return this.#within(wait, command, (error) => this.#retryCommand(wait, command, error));
  }

  /** Retries a command after its first error. */
  #retryCommand<T>(wait: Wait, command: () => Promise<T>, first: unknown): Promise<T> {
    const { session, timeoutMs, deadline } = wait;
    const { signal } = session.ending;
    let last = first;
    const check = (error: unknown, pauseMs: number) => {
      last = error;
      if (signal.aborted) throw this.#withAdvice(this.#closedUnder(error));
      if (error instanceof ConnectionError || !isTransient(error)) throw this.#withAdvice(error);
      this.#forgetReady();
      this.#lastError = error as Error;
      if (performance.now() + pauseMs >= deadline) throw this.#unreachable(timeoutMs);
    };
    const pause = async (ms: number) => {
      await this.#options.pause(ms);
      if (signal.aborted) throw this.#closedUnder(last);
    };
    const again = () => this.#within(wait, command, rethrow);
    return retryAfter(first, again, { firstMs: RETRY_MS.first, maxMs: RETRY_MS.max, pause, check });
  }

  /** Closes every connection permanently. Pending calls end with their answer if it comes soon, else with an error. */
  close(): Promise<void> {
    this.#options.closing.abort(appClosed());
    return this.disconnect();
  }

  /** Closes every connection; the next use opens new ones. */
  async disconnect(): Promise<void> {
    const { ending, deadlines } = this.#session;
    this.#session = newSession();
    ending.abort(new ClosedError('The app was closed while a caller waited for a result.'));
    await settlesSoon(deadlines.idle()); // lets calls that were not awaited finish
    const base = this.#base;
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    this.#base = undefined;
    this.#forgetReady();
    if (base !== undefined) {
      const closed = Promise.all(queues.map((queue) => queue.close())).then(() => base.close());
      await endBackend(base, closed);
    }
    deadlines.expireAll(); // no answer can arrive now
  }

  /** Reads the facts about the store's server; undefined for a store that reports none. */
  async facts(): Promise<ServerFacts | undefined> {
    const backend = this.base();
    const driver = driverOf(backend);
    let facts = await driver?.facts(backend);
    for (let readings = 1; readings < MAX_READINGS; readings += 1) {
      const errorMs = facts?.clock?.errorMs ?? 0;
      if (errorMs <= EXACT_MS) break;
      const again = await driver?.facts(backend);
      if ((again?.clock?.errorMs ?? errorMs) < errorMs) facts = again;
    }
    this.#options.time.note(facts?.clock);
    return facts;
  }

  /** Settles once the time of the store is known; connecting reads it too. */
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
    // Without this check the client would continue in database 0.
    if (refusalOf(this.#lastError) === 'database') throw this.#lastError;
    const base = this.base();
    await driverOf(base)?.prepare(base);
    await this.facts();
  }

  /** Adds the guards for sending to the backend itself: BullMQ's classes compare backends by identity. */
  #guarded(backend: IQueueBackend): IQueueBackend {
    if (guarded.has(backend)) return backend;
    guarded.add(backend);
    const driver = driverOf(backend);
    driver?.shareCommands?.(backend);
    driver?.keepTime(backend, this.#options.time);
    readsWhole(backend);
    checksAdded(backend);
    slicesFlows(backend);
    return backend;
  }

  /** Runs the command once connected. If it fails within the time limit, returns the result of `instead` for its error. */
  #within<T>(
    { session, deadline, timeoutMs }: Wait,
    command: () => Promise<T>,
    instead: (error: unknown) => Promise<T>,
  ): Promise<T> {
    const { deadlines } = session;
    return new Promise((resolve, reject) => {
      const limit = deadlines.set(deadline, () => {
        this.#forgetReady();
        reject(session.ending.signal.aborted ? appClosed() : this.#withAdvice(this.#unreachable(timeoutMs)));
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
        () => {}, // callers of the command get the error
      );
    }
    return this.#ready;
  }

  #forgetReady(): void {
    this.#ready = undefined;
    this.#isReady = false;
  }

  /** Returns an error with advice if it is a fault of the store's configuration, else the same error. */
  #withAdvice(error: unknown): unknown {
    const refusal = refusalOf(error);
    if (!(error instanceof Error) || refusal === undefined || refusal === 'credentials') return error;
    const advice = adviceOn(error, this.#options.connection);
    return new StoreConfigurationError(`The store rejected a command (${error.message}). ${advice}`, {
      cause: error,
    });
  }

  #unreachable(timeoutMs: number): ConnectionError {
    const cause = this.#lastError;
    const reason = cause === undefined ? '' : ` (${reasonOf(cause)})`;
    const seconds = `${timeoutMs / 1000} s`;
    const problem =
      refusalOf(cause) === 'credentials'
        ? `rejected the credentials for ${seconds}`
        : `did not answer within ${seconds}`;
    const advice = adviceOn(cause, this.#options.connection);
    return this.#asOutage(new ConnectionError(`The store ${problem}${reason}. ${advice}`, { cause }));
  }

  /** Returns the error of a call whose connections were closed while it ran. A handler that made the call is not charged. */
  #closedUnder(error: unknown): unknown {
    const closed = errorOfClosed(error);
    return closed instanceof ClosedError ? this.#asOutage(closed) : closed;
  }

  #asOutage<T extends Error>(error: T): T {
    this.#options.outages.add(error);
    return error;
  }
}
