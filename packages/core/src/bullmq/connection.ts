import { type BackendFactory, type ConnectionOptions, createRedisBackend, type IQueueBackend } from 'bullmq';
import { InvalidOptionError } from '../errors.js';
import { processDefaults } from '../process-defaults.js';

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
 * @throws {InvalidOptionError} for a URL of another kind.
 */
export function resolveConnection(connection: Connection | undefined): ResolvedConnection {
  const given = connection ?? (process.env.UMBEL_URL || processDefaults().connection) ?? DEFAULT_URL;
  if (typeof given === 'function') return { options: {}, factory: given };
  if (typeof given !== 'string') {
    const isClient = 'duplicate' in given; // its owner has set it up
    return { options: isClient ? given : { ...RECONNECTING, ...given }, factory: createRedisBackend };
  }
  if (!/^rediss?:\/\/./.test(given)) {
    throw new InvalidOptionError('connection', 'a redis:// or rediss:// URL', withoutPassword(given));
  }
  return { options: { ...RECONNECTING, url: given }, factory: createRedisBackend };
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
