/** What a Redis tells of itself. BullMQ's contract has no command for it, so of other stores nothing is known. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { systemClock } from '../clock.js';
import type { ClockReading } from './store-time.js';

export interface ServerFacts {
  /** What it does when its memory is full. */
  readonly evictionPolicy: string | undefined;
  /** How far the clock of this machine is ahead of its own. */
  readonly clock: ClockReading | undefined;
  /** Of Redis, or of the Redis that it is like. */
  readonly version: string | undefined;
  readonly isCluster: boolean;
  /** Whether it logs on disk all that it takes; a managed one may not tell. */
  readonly hasAppendOnlyFile: boolean | undefined;
}

/** Undefined for a store that is no Redis. */
export async function serverFacts(backend: IQueueBackend): Promise<ServerFacts | undefined> {
  if (!(backend instanceof RedisQueueBackend)) return undefined;
  const client = await backend.connection.client;
  const startedAt = performance.now();
  const text = await client.info();
  const errorMs = (performance.now() - startedAt) / 2;
  const now = systemClock.now() - errorMs;
  const lines = text.split(/\r?\n/);
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1);
  const aof = field('aof_enabled');
  const micros = field('server_time_usec');
  return {
    evictionPolicy: field('maxmemory_policy'),
    clock: micros === undefined ? undefined : { offsetMs: now - Number(micros) / 1000, errorMs },
    version: field('redis_version'),
    isCluster: field('redis_mode') === 'cluster' || field('cluster_enabled') === '1',
    hasAppendOnlyFile: aof === undefined ? undefined : aof === '1',
  };
}
