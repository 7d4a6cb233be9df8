/** Writing to a Redis past Umbel, as another program could. */
import type { App } from '@umbel/core';
import { Redis } from 'ioredis';
import { inject } from 'vitest';

/** What `write` does with a connection that is closed then. */
export async function onRedis<T>(write: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(inject('redisUrl'));
  try {
    return await write(redis);
  } finally {
    redis.disconnect();
  }
}

/** Writes the result of a job over. */
export async function plantResult(app: App, queue: string, id: string, text: string): Promise<void> {
  await onRedis((redis) => redis.hset(`umbel:{${app.name}}:${queue}:${id}`, 'returnvalue', text));
}
