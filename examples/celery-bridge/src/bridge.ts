/** Makes tasks of Umbel callable from Celery programs: `send_task('mail.send', kwargs={…}, queue='umbel')`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type AnyTask, type App, isUmbelError } from '@umbel/core';
import type { Redis } from 'ioredis';
import { type CeleryCall, CeleryMessageError, decodeCall } from './celery/message.js';
import { CeleryResults } from './celery/results.js';
import { defineReply } from './reply.js';

/** Celery's Redis transport has a list for each of these priorities; one between them goes into the list before. */
const PRIORITY_SUFFIXES = ['', '\x06\x163', '\x06\x166', '\x06\x169'];

export interface CeleryBridgeOptions {
  /** What Celery programs may call, by the names of these tasks. */
  readonly tasks: readonly AnyTask[];
  /** The queue that Celery programs send to. No Celery worker may serve it. Default: `umbel`. */
  readonly queue?: string;
}

/**
 * Create it in every process with a worker, before the worker starts: it adds the task that stores results for Celery.
 * `start` reads the queue, in one process or in several.
 */
export class CeleryBridge {
  readonly #app: App;
  readonly #redis: Redis;
  readonly #queue: string;
  readonly #names: ReadonlySet<string>;
  readonly #results: CeleryResults;
  readonly #reply: ReturnType<typeof defineReply>;
  readonly #closing = new AbortController();
  #readers: Redis[] = [];
  #reading: Promise<void>[] = [];

  constructor(app: App, redis: Redis, { tasks, queue = 'umbel' }: CeleryBridgeOptions) {
    this.#app = app;
    this.#redis = redis;
    this.#queue = queue;
    this.#names = new Set(tasks.map(({ name }) => name));
    this.#results = new CeleryResults(redis);
    this.#reply = defineReply(app, this.#results);
  }

  start(): void {
    for (const suffix of PRIORITY_SUFFIXES) {
      const reader = this.#redis.duplicate({ maxRetriesPerRequest: null }); // it waits while Redis is away
      this.#readers.push(reader);
      this.#reading.push(this.#read(reader, this.#queue + suffix));
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const reader of this.#readers) reader.disconnect();
    await Promise.all(this.#reading);
    this.#results.close();
  }

  /** Takes messages from a list. Each is in a second list until its call is stored, so none is lost. */
  async #read(reader: Redis, list: string): Promise<void> {
    const taken = `${list}:taken-by-umbel`;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        while (await reader.lmove(taken, list, 'RIGHT', 'RIGHT')); // left by a bridge that died, or by an error
        for (;;) {
          const message = await reader.blmove(list, taken, 'RIGHT', 'LEFT', 0);
          if (message === null) continue;
          await this.#forward(message);
          await reader.lrem(taken, 1, message);
        }
      } catch (error) {
        if (signal.aborted) return;
        console.error('The bridge tries again in a second:', error);
        await sleep(1000, undefined, { signal }).catch(() => {}); // closed
      }
    }
  }

  /** Resolves when the call is stored, or refused for good. Rejects if a store is away. */
  async #forward(message: string): Promise<void> {
    try {
      await this.#send(decodeCall(message));
    } catch (error) {
      if (isUmbelError(error, 'CONNECTION')) throw error;
      await this.#refuse(message, error as Error);
    }
  }

  async #send({ id, task, args, kwargs, priority, ignoreResult, ...times }: CeleryCall): Promise<void> {
    if (!this.#names.has(task)) throw new CeleryMessageError(`"${task}" is not a task of this bridge`, id);
    const inputs = Object.keys(kwargs).length > 0 ? [...args, kwargs] : args;
    if (inputs.length > 1)
      throw new CeleryMessageError('a task of Umbel has one input: send kwargs, or one argument', id);
    const call = this.#app.signature(task);
    const replied = ignoreResult ? call : call.finally(this.#reply.s({ id }));
    // The key makes a message that was taken twice one job.
    await replied.applyAsync(inputs[0], { ...times, priority, idempotencyKey: `celery ${id}` });
  }

  async #refuse(message: string, error: Error & { id?: string }): Promise<void> {
    const id = error instanceof CeleryMessageError ? error.id : decodeCall(message).id;
    if (id !== undefined) return this.#results.storeFailure(id, error);
    console.error('The bridge has removed what is no message of Celery:', error.message);
  }
}
