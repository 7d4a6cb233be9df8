/** Celery's Redis result backend: a key for each result, and a channel of the same name that announces it. */
import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { z } from 'zod';

const stored = z.object({
  status: z.string(),
  result: z.unknown(),
  traceback: z.string().nullish(),
});

type StoredResult = z.infer<typeof stored>;

const ENDED: ReadonlySet<string> = new Set(['SUCCESS', 'FAILURE', 'REVOKED']);

const exception = z.object({
  exc_type: z.string(),
  exc_message: z.union([z.string(), z.array(z.unknown())]),
});

/** A task of Celery has failed for good. `name` is the name of the Python class, for `retry: { on }`. */
class CeleryTaskError extends Error {
  override readonly name: string;

  constructor(
    name: string,
    message: string,
    /** The traceback of Python, if Celery has stored it. */
    readonly traceback?: string,
  ) {
    super(message);
    this.name = name;
  }
}

const keyOf = (id: string) => `celery-task-meta-${id}`;

export class CeleryResults {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  /** Emits the key of a result that may be there. */
  readonly #announced = new EventEmitter().setMaxListeners(0);
  readonly #expiresSeconds: number;

  /** @param expiresSeconds How long results are kept: Celery's `result_expires`, by default a day. */
  constructor(redis: Redis, expiresSeconds = 86_400) {
    this.#redis = redis;
    this.#expiresSeconds = expiresSeconds;
    this.#subscriber = redis.duplicate();
    this.#subscriber.on('message', (key: string) => this.#announced.emit(key));
    // What was announced while it was not connected is lost.
    this.#subscriber.on('ready', () => {
      for (const key of this.#announced.eventNames()) this.#announced.emit(key);
    });
  }

  /** Stores the value of a task, for `AsyncResult.get()` in Python. */
  storeSuccess(id: string, value: unknown): Promise<void> {
    return this.#store(id, 'SUCCESS', value ?? null, null);
  }

  /** Stores the failure of a task: `get()` raises an exception of this class name, which Celery makes. */
  storeFailure(
    id: string,
    error: { name: string; message: string; stack?: string | undefined },
  ): Promise<void> {
    const raised = { exc_type: error.name, exc_message: [error.message], exc_module: 'umbel' };
    return this.#store(id, 'FAILURE', raised, error.stack ?? null);
  }

  /** Stores that a task was revoked or has expired: `get()` raises a `TaskRevokedError`. */
  storeRevoked(id: string, reason: string): Promise<void> {
    const raised = {
      exc_type: 'TaskRevokedError',
      exc_message: [reason],
      exc_module: 'celery.exceptions',
    };
    return this.#store(id, 'REVOKED', raised, null);
  }

  async #store(id: string, status: string, result: unknown, traceback: string | null): Promise<void> {
    const meta = JSON.stringify({
      status,
      result,
      traceback,
      children: [],
      date_done: new Date().toISOString(),
      task_id: id,
    });
    await this.#redis.multi().setex(keyOf(id), this.#expiresSeconds, meta).publish(keyOf(id), meta).exec();
  }

  /**
   * Resolves with the value of a task once it has ended.
   *
   * @throws {CeleryTaskError} if it has failed or was revoked.
   * @throws The reason of `signal`, if that aborts first. The task is not stopped.
   */
  async wait(id: string, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const key = keyOf(id);
    let look = () => {};
    let abort = () => {};
    const ended = new Promise<StoredResult>((resolve, reject) => {
      look = () => void this.#read(key).then((result) => result && resolve(result), reject);
      abort = () => reject(signal.reason);
    });
    signal.addEventListener('abort', abort);
    this.#announced.on(key, look);
    try {
      await this.#subscriber.subscribe(key);
      look();
      return unwrapResult(await ended);
    } finally {
      signal.removeEventListener('abort', abort);
      this.#announced.off(key, look);
      if (this.#announced.listenerCount(key) === 0) void this.#subscriber.unsubscribe(key).catch(() => {});
    }
  }

  /** Returns the result of a task that has ended. */
  async #read(key: string): Promise<StoredResult | undefined> {
    const text = await this.#redis.get(key);
    const result = text === null ? undefined : stored.parse(JSON.parse(text));
    return result && ENDED.has(result.status) ? result : undefined; // others are STARTED, RETRY and custom states
  }

  close(): void {
    this.#subscriber.disconnect();
  }
}

function unwrapResult({ status, result, traceback }: StoredResult): unknown {
  if (status === 'SUCCESS') return result;
  const { exc_type, exc_message } = exception.parse(result);
  const message = Array.isArray(exc_message) ? exc_message.join(', ') : exc_message;
  throw new CeleryTaskError(exc_type, message, traceback ?? undefined);
}
