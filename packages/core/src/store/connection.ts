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

// What apps of this process go by where their options say nothing, as set by the program that has loaded them.

export interface ProcessDefaults {
  /** Instead of `console`. */
  readonly logger?: Logger;
  /** Instead of a Redis on this machine; the environment variable `UMBEL_URL` wins. */
  readonly connection?: Connection;
  /** What the program runs for its user: where files are watched (`watch`), instead of where the program is. */
  readonly mainModule?: string;
}

/** Process-wide: the program and the modules that it loads may have a copy of this package each. */
const DEFAULTS = Symbol.for('umbel.process-defaults');

const holder = globalThis as { [DEFAULTS]?: ProcessDefaults };

/** For programs that load the modules of others, such as a command line: to be called before they are loaded. */
export function setProcessDefaults(defaults: ProcessDefaults): void {
  holder[DEFAULTS] = defaults;
}

export function processDefaults(): ProcessDefaults {
  return holder[DEFAULTS] ?? {};
}

/** Writes to the logger that is the default at the time. */
export const defaultLogger: Logger = {
  info: (message) => loggerNow().info(message),
  warn: (message) => loggerNow().warn(message),
  error: (message) => loggerNow().error(message),
};

function loggerNow(): Logger {
  return processDefaults().logger ?? console;
}

/**
 * Where jobs are stored: a `redis://` or `rediss://` URL, BullMQ's connection options (or an ioredis instance), or a
 * BullMQ backend factory such as `memory()` from `@umbel/testing`.
 */
export type Connection = string | ConnectionOptions | BackendFactory;

/** What BullMQ's classes are constructed with. */
export interface ResolvedConnection {
  readonly options: ConnectionOptions;
  readonly factory: BackendFactory<IQueueBackend>;
}

/** Where a worker is connected to, without what would let others connect. */
export interface ConnectionFacts {
  /** `other` for a store that is no Redis. */
  readonly kind: 'redis' | 'cluster' | 'other';
  /** `host:port`, or the path of a socket; of a cluster or of sentinels, those that it was given. */
  readonly addresses: readonly string[];
  readonly database: number;
  readonly isEncrypted: boolean;
}

/**
 * How a lost connection comes back: within a second of its store. BullMQ would wait longer and longer, up to 20 s, and
 * ioredis for as long as a store that loads its file says, up to 10 s, which is often too long.
 */
const RECONNECTING = {
  retryStrategy: (times: number) => Math.min(50 * 2 ** times, 1000),
  maxLoadingRetryTime: 500,
} as const;

const DEFAULT_URL = 'redis://127.0.0.1:6379';

/**
 * The connection in the form BullMQ takes; `UMBEL_URL`, then a Redis on this machine, where none is given. Nothing
 * is opened.
 * @throws {InvalidOptionError} for a URL of another kind, or one that cannot be read.
 */
export function resolveConnection(connection: Connection | undefined): ResolvedConnection {
  const fromEnvironment = connection === undefined ? process.env.UMBEL_URL : undefined;
  const given = connection ?? (fromEnvironment || processDefaults().connection) ?? DEFAULT_URL;
  if (typeof given === 'function') return { options: {}, factory: given };
  if (typeof given !== 'string') {
    const isClient = 'duplicate' in given; // its owner has set it up
    return { options: isClient ? given : { ...RECONNECTING, ...given }, factory: createRedisBackend };
  }
  checkUrl(fromEnvironment ? 'UMBEL_URL' : 'connection', given);
  return { options: { ...RECONNECTING, url: given }, factory: createRedisBackend };
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

/** What a backend factory has of its own, true, whose store is in this process's memory. */
const IN_PROCESS = Symbol.for('umbel.in-process-store');

/** Whether other processes reach the same store. */
export function isShared({ factory }: ResolvedConnection): boolean {
  return (factory as { [IN_PROCESS]?: unknown })[IN_PROCESS] !== true;
}

/** Whether a Redis, or what is like one, is the store. */
export function isRedis({ factory }: ResolvedConnection): boolean {
  return factory === createRedisBackend;
}

/** Where the store is, for people: without user and password. */
export function shownConnection(connection: ResolvedConnection): string {
  if (!isRedis(connection)) return 'a store of its own';
  const { options } = connection;
  const { url, ...own } = options as { url?: string } & Record<string, unknown>;
  if (url !== undefined) return shownUrl(url);
  const {
    host = '127.0.0.1',
    port = 6379,
    db = 0,
    path,
    tls,
  } = 'options' in own && own.options ? (own.options as typeof own) : own;
  if (typeof path === 'string') return path;
  return `${tls ? 'rediss' : 'redis'}://${host}:${port}${db ? `/${db}` : ''}`;
}

function shownUrl(text: string): string {
  if (!URL.canParse(text)) return withoutPassword(text);
  const url = new URL(text);
  const user = url.username || url.password ? '***@' : '';
  return `${url.protocol}//${user}${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

/** The URL with its credentials hidden: messages end up in logs. */
function withoutPassword(url: string): string {
  return url.replace(/^(.*?:\/\/)?.*@/s, '$1***@');
}

/** What may be told of a connection: only what is known to hold no secret. */
export function connectionFacts({ options, factory }: ResolvedConnection): ConnectionFacts {
  if (factory !== createRedisBackend)
    return { kind: 'other', addresses: [], database: 0, isEncrypted: false };
  const given = options as GivenConnection;
  if (Array.isArray(given.startupNodes)) {
    const isEncrypted = given.options?.redisOptions?.tls !== undefined;
    return { kind: 'cluster', addresses: given.startupNodes.map(addressOf), database: 0, isEncrypted };
  }
  const { url, host, port, path, db, tls, sentinels } = { ...given, ...given.options };
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

/** As ioredis has it, of options and of its clients. */
interface GivenConnection {
  readonly url?: string;
  readonly host?: string;
  readonly port?: number | string;
  readonly path?: string;
  readonly db?: number;
  readonly tls?: unknown;
  readonly options?: GivenConnection & { readonly redisOptions?: { readonly tls?: unknown } };
  readonly startupNodes?: readonly unknown[];
  readonly sentinels?: readonly unknown[];
}

function addressOf(node: unknown): string {
  if (typeof node === 'number') return `127.0.0.1:${node}`;
  if (typeof node === 'string') {
    const url = URL.canParse(node) ? new URL(node) : undefined;
    return url === undefined || url.hostname === '' ? 'unknown' : addressOf(parsedAddress(url));
  }
  const { host = '127.0.0.1', port = 6379 } = node as { host?: string; port?: number | string }; // as ioredis takes them
  return `${host}:${port}`;
}

function parsedAddress({ hostname, port }: URL): { host: string; port: string } {
  return { host: hostname || '127.0.0.1', port: port || '6379' };
}

// What a Redis tells of itself. BullMQ's contract has no command for it, so of other stores nothing is known.

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
