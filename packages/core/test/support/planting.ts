/** Writing to a store past Umbel, as another program could. */
import type { App } from '@umbel/core';
import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import type { Engine } from '../../../../test/engines.js';
import type { QueryRunner } from '../../src/store/engine/postgres/database.js';

/** Adds a job with each of these contents, under the ids `planted-0`, `planted-1` …, which it gives. */
export async function plantJobs(queue: Queue, name: string, contents: readonly object[]): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, data] of contents.entries()) {
    const jobId = `planted-${index}`;
    await queue.add(name, data, { jobId });
    ids.push(jobId);
  }
  return ids;
}

/** Writes over why a job has failed, and other parts of its content. */
export async function plantFailure(
  queue: Queue,
  id: string,
  error: object,
  more: object = {},
): Promise<void> {
  const job = await queue.getJob(id);
  if (job === undefined) throw new Error(`there is no job ${id}`);
  await job.updateData({ ...job.data, ...more, failure: { task: job.name, jobId: id, error } });
}

/** What `write` does with a connection that is closed then. */
export async function onRedis<T>(write: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(inject('redisUrl'));
  try {
    return await write(redis);
  } finally {
    redis.disconnect();
  }
}

/** What `write` does with statements on the SQL store of the last app. */
export async function onSql<T>(engine: Engine, write: (query: QueryRunner) => Promise<T>): Promise<T> {
  const backend = engine.bareQueue('statements').getBackend() as unknown as { query: QueryRunner };
  return write((text, params) => backend.query(text, params));
}

/** Writes the result of a job over, in a Redis. */
export async function plantResult(app: App, queue: string, id: string, text: string): Promise<void> {
  await onRedis((redis) => redis.hset(`umbel:{${app.name}}:${queue}:${id}`, 'returnvalue', text));
}
