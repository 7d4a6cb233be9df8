/** This module resolves a connection to Redis, and describes it without credentials. It opens nothing. */
import { type ConnectionOptions, createRedisBackend } from 'bullmq';
import { reasonOf } from '../../advice.js';
import type { ConnectionFacts, Engine } from '../engine.js';
import { checkReadable, refusedUrl, shownUrl } from '../urls.js';
import { redisAdvice } from './errors.js';
import { redisBackends } from './open-backend.js';

/**
 * Options for reconnecting within a second after the store is back. BullMQ's default waits up to 20 s. ioredis waits as
 * long as a loading store asks for, up to 10 s, which is often too long.
 */
const RECONNECTING = {
  retryStrategy: (times: number) => Math.min(50 * 2 ** times, 1000),
  maxLoadingRetryTime: 500,
} as const;

/** The store of an app that names none. */
export const DEFAULT_URL = 'redis://127.0.0.1:6379';

/**
 * Returns the engine for a URL, or for the options or the client of BullMQ's Redis connection.
 * @param option Names the source of a URL, for the error.
 * @throws {InvalidOptionError} for an invalid URL.
 */
export function redisEngine(option: string, source: string | ConnectionOptions): Engine {
  if (typeof source === 'string') checkUrl(option, source);
  const isClient = typeof source !== 'string' && 'duplicate' in source; // its owner has configured it
  const options: ConnectionOptions = isClient
    ? source
    : { ...RECONNECTING, ...(typeof source === 'string' ? { url: source } : source) };
  const { isEncrypted } = connectionFacts(options);
  return {
    kind: 'redis',
    isShared: true,
    options,
    factory: isClient ? createRedisBackend : redisBackends(),
    isClient,
    mayStaySilent: true,
    address: shownAddress(options),
    describe: () => connectionFacts(options),
    advise: (error) => redisAdvice(error === undefined ? 'silence' : reasonOf(error), isEncrypted),
  };
}

function checkUrl(option: string, url: string): void {
  checkReadable(option, url);
  if (!/^\/?\d*$/.test(new URL(url).pathname)) {
    const expected = 'a URL that ends with the number of a database, such as redis://127.0.0.1:6379/1';
    throw refusedUrl(option, url, expected);
  }
}

/** Returns the address of the store for display, without user and password. */
function shownAddress(options: ConnectionOptions): string {
  const { url, ...rest } = options as { url?: string } & Record<string, unknown>;
  if (url !== undefined) return shownUrl(url);
  const {
    host = '127.0.0.1',
    port = 6379,
    db = 0,
    path,
    tls,
  } = 'options' in rest && rest.options ? (rest.options as typeof rest) : rest;
  if (typeof path === 'string') return path;
  return `${tls ? 'rediss' : 'redis'}://${host}:${port}${db ? `/${db}` : ''}`;
}

/** Returns facts about a connection: only values that contain no secret. */
function connectionFacts(options: ConnectionOptions): ConnectionFacts {
  const client = options as RedisConnectionShape;
  if (Array.isArray(client.startupNodes)) {
    const isEncrypted = client.options?.redisOptions?.tls !== undefined;
    return { kind: 'cluster', addresses: client.startupNodes.map(addressOf), database: 0, isEncrypted };
  }
  const { url, host, port, path, db, tls, sentinels } = { ...client, ...client.options };
  const parsed = url !== undefined && URL.canParse(url) ? new URL(url) : undefined;
  const database = Number(parsed?.pathname.slice(1) || db || 0);
  if (Array.isArray(sentinels))
    return {
      kind: 'redis',
      addresses: sentinels.map(addressOf),
      database: Number(db ?? 0),
      isEncrypted: tls !== undefined,
    };
  return {
    kind: 'redis',
    addresses: [
      parsed === undefined ? (path ?? addressOf({ host, port })) : addressOf(parsedAddress(parsed)),
    ],
    database: Number.isInteger(database) ? database : 0,
    isEncrypted: tls !== undefined || parsed?.protocol === 'rediss:',
  };
}

/** Common shape of ioredis options and ioredis clients. */
interface RedisConnectionShape {
  readonly url?: string;
  readonly host?: string;
  readonly port?: number | string;
  readonly path?: string;
  readonly db?: number;
  readonly tls?: unknown;
  readonly options?: RedisConnectionShape & { readonly redisOptions?: { readonly tls?: unknown } };
  readonly startupNodes?: readonly unknown[];
  readonly sentinels?: readonly unknown[];
}

function addressOf(node: unknown): string {
  if (typeof node === 'number') return `127.0.0.1:${node}`;
  if (typeof node === 'string') {
    const url = URL.canParse(node) ? new URL(node) : undefined;
    return url === undefined || url.hostname === '' ? 'unknown' : addressOf(parsedAddress(url));
  }
  const { host = '127.0.0.1', port = 6379 } = node as { host?: string; port?: number | string }; // ioredis's form of a node
  return `${host}:${port}`;
}

function parsedAddress({ hostname, port }: URL): { host: string; port: string } {
  return { host: hostname || '127.0.0.1', port: port || '6379' };
}
