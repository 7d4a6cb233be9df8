/** This module resolves the `connection` option, and reads facts about the store's server. */
import {
  type BackendFactory,
  type ConnectionOptions,
  createRedisBackend,
  type IQueueBackend,
  RedisQueueBackend,
} from 'bullmq';
import { InvalidOptionError } from '../base/errors.js';
import type { Logger } from '../base/test-override.js';
import { systemClock } from '../base/time.js';
import type { ClockReading } from './store-time.js';

// Defaults of apps in this process, set by the program that loads them.

export interface ProcessDefaults {
  /** Default logger. Default: `console`. */
  readonly logger?: Logger;
  /** Default connection. The environment variable `UMBEL_URL` has precedence. Default: a local Redis. */
  readonly connection?: Connection;
  /** Main module of the user's program, whose files `watch` observes. Default: the main module of the process. */
  readonly mainModule?: string;
}

/** A process-wide symbol, because the program and the modules that it loads may use different copies of this package. */
const DEFAULTS = Symbol.for('umbel.process-defaults');

const globals = globalThis as { [DEFAULTS]?: ProcessDefaults };

/** Sets the defaults. Programs that load modules of a user, such as a CLI, call it before loading them. */
export function setProcessDefaults(defaults: ProcessDefaults): void {
  globals[DEFAULTS] = defaults;
}

export function processDefaults(): ProcessDefaults {
  return globals[DEFAULTS] ?? {};
}

/** Writes to the current default logger. */
export const defaultLogger: Logger = {
  info: (message) => currentLogger().info(message),
  warn: (message) => currentLogger().warn(message),
  error: (message) => currentLogger().error(message),
};

function currentLogger(): Logger {
  return processDefaults().logger ?? console;
}

/**
 * Where jobs are stored: a `redis://` or `rediss://` URL, BullMQ's connection options (or an ioredis instance), or a
 * BullMQ backend factory such as `memory()` from `@umbel/testing`.
 */
export type Connection = string | ConnectionOptions | BackendFactory;

/** Arguments for BullMQ's classes. */
export interface ResolvedConnection {
  readonly options: ConnectionOptions;
  readonly factory: BackendFactory<IQueueBackend>;
}

/** The connection of a worker, without credentials. */
export interface ConnectionFacts {
  /** `other` for a store that is not Redis. */
  readonly kind: 'redis' | 'cluster' | 'other';
  /** `host:port` or the path of a socket; for a cluster or sentinels, the configured addresses. */
  readonly addresses: readonly string[];
  readonly database: number;
  readonly isEncrypted: boolean;
}

/**
 * Options for reconnecting within a second after the store is back. BullMQ's default waits up to 20 s. ioredis waits as
 * long as a loading store asks for, up to 10 s, which is often too long.
 */
const RECONNECTING = {
  retryStrategy: (times: number) => Math.min(50 * 2 ** times, 1000),
  maxLoadingRetryTime: 500,
} as const;

const DEFAULT_URL = 'redis://127.0.0.1:6379';

/**
 * Returns the connection in BullMQ's form. Default: `UMBEL_URL`, then the process default, then a local Redis. Opens
 * nothing.
 * @throws {InvalidOptionError} for a URL with another scheme or an invalid one.
 */
export function resolveConnection(connection: Connection | undefined): ResolvedConnection {
  const fromEnvironment = connection === undefined ? process.env.UMBEL_URL : undefined;
  const source = connection ?? (fromEnvironment || processDefaults().connection) ?? DEFAULT_URL;
  if (typeof source === 'function') return { options: {}, factory: source };
  if (typeof source !== 'string') {
    const isClient = 'duplicate' in source; // its owner has configured it
    return { options: isClient ? source : { ...RECONNECTING, ...source }, factory: createRedisBackend };
  }
  checkUrl(fromEnvironment ? 'UMBEL_URL' : 'connection', source);
  return { options: { ...RECONNECTING, url: source }, factory: createRedisBackend };
}

function checkUrl(option: string, url: string): void {
  const refused = (expected: string) => new InvalidOptionError(option, expected, withoutPassword(url));
  if (!/^rediss?:\/\/./.test(url))
    throw refused('a redis:// or rediss:// URL, such as redis://127.0.0.1:6379');
  if (!isReadable(url)) {
    throw refused(
      'a valid URL: encode special characters in the user and the password with encodeURIComponent',
    );
  }
  if (!/^\/?\d*$/.test(new URL(url).pathname))
    throw refused('a URL that ends with the number of a database, such as redis://127.0.0.1:6379/1');
}

function isReadable(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  try {
    decodeURIComponent(`${username}:${password}`);
    return true;
  } catch {
    return false;
  }
}

/** Own property, true, of backend factories whose store is in the memory of this process. */
const IN_PROCESS = Symbol.for('umbel.in-process-store');

/** Returns whether other processes can reach the same store. */
export function isShared({ factory }: ResolvedConnection): boolean {
  return (factory as { [IN_PROCESS]?: unknown })[IN_PROCESS] !== true;
}

/** Returns whether the store is Redis or compatible with it. */
export function isRedis({ factory }: ResolvedConnection): boolean {
  return factory === createRedisBackend;
}

/** Returns the address of the store for display, without user and password. */
export function shownConnection(connection: ResolvedConnection): string {
  if (!isRedis(connection)) return 'a store of its own';
  const { options } = connection;
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

function shownUrl(text: string): string {
  if (!URL.canParse(text)) return withoutPassword(text);
  const url = new URL(text);
  const user = url.username || url.password ? '***@' : '';
  return `${url.protocol}//${user}${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

/** Returns the URL without credentials, because messages end up in logs. */
function withoutPassword(url: string): string {
  return url.replace(/^(.*?:\/\/)?.*@/s, '$1***@');
}

/** Returns facts about a connection: only values that contain no secret. */
export function connectionFacts({ options, factory }: ResolvedConnection): ConnectionFacts {
  if (factory !== createRedisBackend)
    return { kind: 'other', addresses: [], database: 0, isEncrypted: false };
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

// Facts about a Redis server. BullMQ's contract has no command for them, so other stores report none.

export interface ServerFacts {
  /** `maxmemory-policy` of the server. */
  readonly evictionPolicy: string | undefined;
  /** How far the clock of this machine is ahead of the server's. */
  readonly clock: ClockReading | undefined;
  /** Version of Redis, or of the Redis that it is compatible with. */
  readonly version: string | undefined;
  readonly isCluster: boolean;
  /** Whether it has an append-only file; undefined if a managed server does not report it. */
  readonly hasAppendOnlyFile: boolean | undefined;
}

/** Reads facts about the server; undefined for a store that is not Redis. */
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
