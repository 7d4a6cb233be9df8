import type { JobOutcome, Store } from '../bullmq/store.js';
import { type Duration, durationMs } from '../duration.js';
import { TaskFailedError, TimeoutError, UnknownJobError } from '../errors.js';
import type { Runtime } from '../runtime.js';
import { rebuildError } from '../wire/error-record.js';
import type { JobState } from './state.js';

export interface GetOptions {
  /** Longest wait. Default: no limit. */
  timeout?: Duration;
  /** Ends the wait early; the job itself goes on. */
  signal?: AbortSignal;
}

/** A handle to the outcome of a job or of a run. Not awaitable itself, so that no wait happens by accident. */
export interface AsyncResult<out Out> {
  /** The job's id; for a composition, the run's. */
  readonly id: string;
  /** Where the job stands now. */
  state(): Promise<JobState>;
  /**
   * The result, once there is one. A task without a result gives `null`.
   * @throws {TaskFailedError} if the task, or a step of the run, failed for good; the original error is its `cause`.
   * @throws {TimeoutError} after `timeout`.
   * @throws {ClosedError} if the app is closed before there is a result.
   * @throws {UnknownJobError} if the store does not hold the job (any more).
   */
  get(options?: GetOptions): Promise<Out>;
}

/** The machine's, taken at load time: polling is no part of the time that a test may replace. */
const { setTimeout, clearTimeout } = globalThis;

/** Events only wake a waiter; the store decides. A missed event costs at most this long. */
const POLL_MS = { first: 50, max: 5000 };
const LAST_LOOK_MS = 1000;

export class StoredResult<out Out> implements AsyncResult<Out> {
  readonly id: string;
  readonly #queue: string;
  readonly #store: Store;

  readonly #runtime: Runtime;

  constructor(store: Store, queue: string, id: string, runtime: Runtime) {
    this.#store = store;
    this.#runtime = runtime;
    this.#queue = queue;
    this.id = id;
  }

  state(): Promise<JobState> {
    return this.#store.state(this.#queue, this.id);
  }

  async get({ timeout, signal }: GetOptions = {}): Promise<Out> {
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
    const outcome = await this.#ended(timeoutMs, signal);
    switch (outcome.kind) {
      case 'completed':
        return outcome.value as Out; // validated by the worker, or inferred from the handler that made it
      case 'failed': {
        const { task, jobId, error } = outcome.failure;
        throw new TaskFailedError(task, jobId, rebuildError(error));
      }
      case 'missing':
        throw new UnknownJobError(this.id, this.#queue);
    }
  }

  /**
   * The final outcome.
   * @throws what ends the wait before there is one.
   */
  async #ended(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<FinalOutcome> {
    const { clock, observer } = this.#runtime;
    const bell = new Bell();
    const interrupt = new Interrupt();
    const { closed } = this.#store;
    const isOver = () => void this.#timedOut(timeoutMs ?? 0).then((error) => interrupt.with(error));
    const deadline = timeoutMs === undefined ? undefined : clock.setTimeout(isOver, timeoutMs);
    const undo = [
      interrupt.on(signal),
      interrupt.on(closed),
      this.#store.watch(this.#queue, this.id, () => bell.ring()),
      observer?.waiting(this.id, (error) => interrupt.with(error)),
      () => clock.clearTimeout(deadline),
    ];
    try {
      for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.max)) {
        const outcome = await interrupt.race(this.#store.outcome(this.#queue, this.id));
        if (outcome.kind !== 'pending') return outcome;
        await interrupt.race(bell.wait(pollMs));
      }
    } finally {
      bell.ring();
      for (const end of undo) end?.();
    }
  }

  /** The error of a wait that took too long; a last look at the store may take a moment, not more. */
  async #timedOut(timeoutMs: number): Promise<Error> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<'unknown'>((resolve) => {
      timer = setTimeout(() => resolve('unknown'), LAST_LOOK_MS);
    });
    const state = await Promise.race([this.state().catch(() => 'unknown' as const), tooLate]);
    clearTimeout(timer);
    return new TimeoutError(this.id, timeoutMs, state);
  }
}

type FinalOutcome = Exclude<JobOutcome, { kind: 'pending' }>;

/** Rings once or more; a wait ends at the first ring, also at one that came before, or after a time. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}

/** Ends whatever is raced with it, with the first error it is given. */
class Interrupt {
  #reject: (error: unknown) => void = () => {};
  readonly #interrupted = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

  constructor() {
    this.#interrupted.catch(() => {}); // it may come when nothing is raced with it
  }

  with(error: unknown): void {
    this.#reject(error);
  }

  /** Interrupts when the signal aborts; gives a function that ends that. */
  on(signal: AbortSignal | undefined): () => void {
    const abort = () => this.with(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    return () => signal?.removeEventListener('abort', abort);
  }

  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // an answer that comes too late
    return Promise.race([this.#interrupted, promise]);
  }
}
