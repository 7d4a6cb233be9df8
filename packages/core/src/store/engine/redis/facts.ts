/** This module reads facts about a Redis server, and checks whether jobs can run with it. */
import type { RedisQueueBackend } from 'bullmq';
import { StoreConfigurationError } from '../../../base/errors.js';
import { readServerClock } from '../../store-time.js';
import type { ServerFacts, StoreDemands } from '../engine.js';

/** Reads facts about the server. */
export async function redisFacts(backend: RedisQueueBackend): Promise<ServerFacts> {
  const client = await backend.connection.client;
  const { answer: text, clock } = await readServerClock(() => client.info(), serverTime);
  const lines = text.split(/\r?\n/);
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1);
  const aof = field('aof_enabled');
  return {
    kind: 'redis',
    evictionPolicy: field('maxmemory_policy'),
    clock,
    version: field('redis_version'),
    isCluster: field('redis_mode') === 'cluster' || field('cluster_enabled') === '1',
    hasAppendOnlyFile: aof === undefined ? undefined : aof === '1',
  };
}

/** Returns the time in an answer to INFO, in milliseconds. */
function serverTime(text: string): number | undefined {
  const micros = /^server_time_usec:(\d+)/m.exec(text)?.[1];
  return micros === undefined ? undefined : Number(micros) / 1000;
}

/** Versions of Redis that BullMQ's scripts need and that BullMQ recommends. @see https://docs.bullmq.io/guide/redis-tm-compatibility */
const OLDEST = '5.0.0';
const RECOMMENDED = '6.2.0';

/**
 * Checks the store before a worker takes jobs; returns warnings.
 * @throws {StoreConfigurationError} if jobs cannot run with this store, or would be lost.
 */
export function checkRedis(facts: ServerFacts, { prefix, allowsEviction }: StoreDemands): string[] {
  const { evictionPolicy = 'noeviction', version, isCluster, hasAppendOnlyFile } = facts;
  if (version !== undefined && isOlder(version, OLDEST)) {
    throw new StoreConfigurationError(
      `The store is Redis ${version}, which is too old: expected ${OLDEST} or newer (${RECOMMENDED} is recommended). Update Redis.`,
    );
  }
  if (isCluster && !/\{[^{}]+\}/.test(prefix)) {
    throw new StoreConfigurationError(
      `The store is a Redis Cluster, and with the prefix "${prefix}" it spreads the keys of one workflow over several ` +
        `nodes, so scripts cannot use them together. Put the prefix in braces: createApp({ prefix: '{${prefix}}' }).`,
    );
  }
  // W20: refuses a store that evicts keys.
  if (evictionPolicy !== 'noeviction' && !allowsEviction) {
    throw new StoreConfigurationError(
      `The store evicts keys when its memory is full (maxmemory-policy ${evictionPolicy}), which loses jobs. ` +
        'Set its maxmemory-policy to noeviction. If you accept lost jobs, start with app.worker({ allowEviction: true }).',
    );
  }
  const warnings: string[] = [];
  if (version !== undefined && isOlder(version, RECOMMENDED)) {
    warnings.push(`the store is Redis ${version}; ${RECOMMENDED} or newer is recommended`);
  }
  if (hasAppendOnlyFile === false) {
    warnings.push(
      'the store has no append-only file: when it stops, everything since its last snapshot is lost. ' +
        'Set `appendonly yes` to keep it',
    );
  }
  return warnings;
}

function isOlder(version: string, than: string): boolean {
  const parts = (text: string) => text.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [parts(version), parts(than)];
  const index = b.findIndex((part, position) => (a[position] ?? 0) !== part);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}
