import type { JobOutcome, Store } from './bullmq/store.js';
import { type Duration, durationMs } from './duration.js';
import { rebuildError } from './error-record.js';
import { TaskFailedError, TimeoutError, UnknownJobError } from './errors.js';
import type { Runtime } from './runtime.js';
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
   * @throws {UnknownJobError} if the store does not hold the job (any more).
   */
  get(options?: GetOptions): Promise<Out>;
}

/** The machine's, taken at load time: polling is no part of the time that a test may replace. */
const { setTimeout, clearTimeout } = globalThis;

/** Events only wake a waiter; the store decides. A missed event costs at most this long. */
const POLL_MS = { first: 50, max: 5000 };

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
    const outcome = await this.#settled(timeoutMs, signal);
    switch (outcome.kind) {
      case 'completed':
        return outcome.value as Out; // validated by the worker, or inferred from the handler that made it
      case 'failed': {
        const { task, jobId, error } = outcome.failure;
        throw new TaskFailedError(task, jobId, rebuildError(error));
      }
      case 'missing':
        throw new UnknownJobError(this.id, this.#queue);
      case 'pending':
        throw new TimeoutError(this.id, timeoutMs ?? 0, await this.state());
    }
  }

  /** The final outcome, or the pending one when the time is over. */
  async #settled(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<JobOutcome> {
    signal?.throwIfAborted();
    const { clock, observer } = this.#runtime;
    const alarm = new Alarm(signal);
    let isOver = false;
    const end = () => {
      isOver = true;
      alarm.ring();
    };
    const deadline = timeoutMs === undefined ? undefined : clock.setTimeout(end, timeoutMs);
    const unwatch = this.#store.watch(this.#queue, this.id, () => alarm.ring());
    let givenUp: Error | undefined;
    const endWait = observer?.waiting(this.id, (error) => {
      givenUp = error;
      alarm.ring();
    });
    try {
      for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.max)) {
        const wasOver: boolean = isOver;
        const outcome = await this.#store.outcome(this.#queue, this.id);
        if (outcome.kind !== 'pending' || wasOver) return outcome;
        if (givenUp !== undefined) throw givenUp;
        await alarm.wait(pollMs);
        signal?.throwIfAborted();
      }
    } finally {
      endWait?.();
      unwatch();
      alarm.close();
      if (deadline !== undefined) clock.clearTimeout(deadline);
    }
  }
}

/** A wait that ends at the first of: a ring (also one that came before), an abort, the time. */
class Alarm {
  #rung = false;
  #wake: (() => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.ring();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort);
  }

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

  close(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}
