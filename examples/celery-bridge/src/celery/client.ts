/** Sends tasks to Celery's workers and waits for their results. */
import type { Redis } from 'ioredis';
import { type CeleryCall, encodeCall } from './message.js';
import { CeleryResults } from './results.js';

/** What an Umbel handler gets as its second parameter. */
interface HandlerContext {
  readonly id: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
}

/** Puts a message into a list unless the call with this id was sent before: both in one atomic command. */
const SEND_ONCE = `
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  redis.call('LPUSH', KEYS[2], ARGV[2])
end`;

export interface CeleryClientOptions {
  /** The queue of Celery's workers. Default: `celery`. */
  readonly queue?: string;
  /** How long Celery keeps results, its `result_expires`. Default: a day. */
  readonly resultExpiresSeconds?: number;
}

export class CeleryClient {
  readonly #redis: Redis;
  readonly #results: CeleryResults;
  readonly #queue: string;
  readonly #expiresSeconds: number;

  constructor(redis: Redis, { queue = 'celery', resultExpiresSeconds = 86_400 }: CeleryClientOptions = {}) {
    this.#redis = redis;
    this.#queue = queue;
    this.#expiresSeconds = resultExpiresSeconds;
    this.#results = new CeleryResults(redis, resultExpiresSeconds);
  }

  /**
   * Runs a task of Celery as an attempt of an Umbel job, and resolves with its result. An attempt that begins again
   * because its worker died waits for the task that it has sent before; another attempt sends a new one.
   *
   * @throws {CeleryTaskError} if the task has failed or was revoked.
   *
   * @example
   * run: (order, ctx) => celery.run('billing.total', { kwargs: order }, ctx),
   */
  async run(
    task: string,
    { args = [], kwargs = {}, ...options }: Partial<Omit<CeleryCall, 'id' | 'task' | 'ignoreResult'>>,
    { id: jobId, attempt, signal }: HandlerContext,
  ): Promise<unknown> {
    const id = `${jobId}:${attempt}`;
    const message = encodeCall({ ...options, id, task, args, kwargs }, this.#queue);
    await this.#redis.eval(SEND_ONCE, 2, `umbel-sent:${id}`, this.#queue, this.#expiresSeconds, message);
    return this.#results.wait(id, signal);
  }

  close(): void {
    this.#results.close();
  }
}
