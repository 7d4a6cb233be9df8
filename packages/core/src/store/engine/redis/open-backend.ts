/**
 * This module opens BullMQ's Redis backends. It does the same as BullMQ's `createRedisBackend`, with clients that cost less
 * to open (`client.ts`).
 */
import {
  type BackendFactory,
  type ConnectionOptions,
  createRedisBackend,
  type KeyPrefixOptions,
  type QueueBaseOptions,
  RedisConnection,
  RedisQueueBackend,
} from 'bullmq';
import type { RedisOptions } from 'ioredis';
import { createClient, ReadyChecks } from './client.js';

type PlainOptions = RedisOptions & { readonly url?: string };
/** Options of BullMQ's classes. A worker has a name. */
type OpenOptions = QueueBaseOptions & KeyPrefixOptions & { readonly name?: string };

/** Returns the factory of the backends of one app. */
export function redisBackends(): BackendFactory<RedisQueueBackend> {
  const checks = new ReadyChecks();
  return (name, options, more = {}) => {
    const { connection } = options as { connection: PlainOptions };
    if (!canShare(connection)) return createRedisBackend(name, options, more);
    const { blocking = false, withBlockingConnection = false } = more;
    const main = open(connection, options, blocking, checks);
    const waiting = withBlockingConnection
      ? open({ ...connection, connectionName: waiterName(name, options) }, options, true, checks)
      : undefined;
    // BullMQ does not export what builds the keys of a queue, but each backend has them.
    const { keys, toKey } = keysOf(main, name, options);
    return new RedisQueueBackend(main, name, keys, toKey, options, waiting);
  };
}

/** Returns false for what only BullMQ's own clients do: another driver, prefixes of keys, pipelines without a request. */
function canShare({ keyPrefix, enableAutoPipelining }: PlainOptions): boolean {
  return RedisConnection.clientFactory === undefined && !keyPrefix && enableAutoPipelining !== true;
}

function open(
  connection: PlainOptions,
  { skipVersionCheck, skipWaitingForReady }: QueueBaseOptions,
  isBlocking: boolean,
  checks: ReadyChecks,
): RedisConnection {
  const { url, ...given } = connection;
  // BullMQ's defaults.
  const options = {
    port: 6379,
    host: '127.0.0.1',
    ...given,
    ...(isBlocking && { maxRetriesPerRequest: null }),
  };
  const client = createClient(url, options, checks) as unknown as ConnectionOptions;
  return new RedisConnection(client, {
    shared: false,
    blocking: isBlocking,
    ...(skipVersionCheck !== undefined && { skipVersionCheck }),
    ...(!isBlocking && skipWaitingForReady !== undefined && { skipWaitingForReady }),
  });
}

/** Returns the name of the connection on which a worker waits, by which BullMQ finds workers. */
function waiterName(queue: string, { prefix = 'bull', name }: OpenOptions): string {
  return `${prefix}:${Buffer.from(queue).toString('base64')}${name ? `:w:${name}` : ''}`;
}

function keysOf(
  connection: RedisConnection,
  name: string,
  options: OpenOptions,
): Pick<RedisQueueBackend, 'keys' | 'toKey'> {
  const without = new RedisQueueBackend(connection, name, {}, () => '', options, undefined, false);
  const queue = without.forQueue(name, options.prefix) as RedisQueueBackend; // of the same class
  return { keys: queue.keys, toKey: (type) => queue.toKey(type) };
}
