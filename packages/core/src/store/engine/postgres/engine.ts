/** This module resolves a connection to PostgreSQL, and describes it without credentials. It opens nothing. */
import type { BackendFactory, ConnectionOptions, IQueueBackend, QueueBaseOptions } from 'bullmq';
import type { ConnectionFacts, Engine } from '../engine.js';
import { checkReadable, refusedUrl, shownUrl } from '../urls.js';
import { SqlBackend } from './backend.js';
import { SharedConnection } from './connection.js';
import { POOL_CONNECTIONS, PostgresDatabase, type SqlDatabase } from './database.js';
import { postgresAdvice } from './errors.js';
import { loadDriver } from './pg-driver.js';
import { migrationsOf } from './schema.js';
import { scopeIn } from './user-transaction.js';

/** Schema of the objects of BullMQ and Umbel, unless the URL names one. */
export const DEFAULT_SCHEMA = 'umbel';

/** The databases of this process by URL. */
const databases = new Map<string, SqlDatabase>();

/**
 * Returns the engine for a `postgres://` URL. `?schema=` names the schema, `?pool=` the number of connections; the other
 * parameters are those of `pg`.
 * @param option Names the source of the URL, for the error.
 * @throws {InvalidOptionError} for an invalid URL.
 * @throws {MissingPackageError} if `pg` is not installed.
 */
export function postgresEngine(option: string, source: string): Engine {
  checkReadable(option, source);
  const url = new URL(source);
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!isSchemaName(schema))
    throw refusedUrl(
      option,
      source,
      'a URL whose schema has lower-case letters, digits and underscores only',
    );
  const pool = url.searchParams.get('pool') ?? String(POOL_CONNECTIONS);
  if (!/^[1-9]\d{0,3}$/.test(pool))
    throw refusedUrl(option, source, 'a URL whose pool is a number of connections from 1 to 9999');
  url.searchParams.delete('schema');
  url.searchParams.delete('pool');
  const driver = loadDriver();
  const key = `${url.href} ${schema} ${pool}`;
  const databaseOf = () => {
    let database = databases.get(key);
    if (database === undefined) {
      database = new PostgresDatabase(driver, url.href, schema, Number(pool));
      databases.set(key, database);
    }
    return database;
  };
  return serverEngine(schema, databaseOf, {
    address: shownUrl(source),
    describe: () => postgresFactsOf(url),
  });
}

/** Returns the engine of a database on a server. */
export function serverEngine(
  schema: string,
  databaseOf: () => SqlDatabase,
  facts: Pick<Engine, 'address' | 'describe'>,
): Engine {
  const engineOn = (on: () => SqlDatabase): Engine => ({
    kind: 'postgres',
    isShared: true,
    options: {},
    factory: sqlBackends(on),
    isClient: false,
    mayStaySilent: false,
    ...facts,
    advise: postgresAdvice,
  });
  return {
    ...engineOn(databaseOf),
    migrations: migrationsOf(schema, databaseOf),
    inTransaction: (transaction) =>
      scopeIn(transaction, databaseOf(), (database) => engineOn(() => database)),
  };
}

/** Returns whether the name of a schema needs no quotes. */
export function isSchemaName(name: string): boolean {
  return /^[a-z_][a-z0-9_]{0,62}$/.test(name);
}

function postgresFactsOf(url: URL): ConnectionFacts {
  const sslMode = url.searchParams.get('sslmode') ?? (url.searchParams.has('ssl') ? 'require' : 'disable');
  return {
    kind: 'postgres',
    addresses: [`${url.hostname || 'localhost'}:${url.port || '5432'}${url.pathname}`],
    database: 0,
    isEncrypted: sslMode !== 'disable',
  };
}

/** Returns a factory of backends on a database. */
export function sqlBackends(databaseOf: () => SqlDatabase): BackendFactory<IQueueBackend> {
  return (name: string, options: QueueBaseOptions<ConnectionOptions> & { prefix?: string }) =>
    new SqlBackend(
      new SharedConnection(databaseOf()),
      name,
      options.prefix ?? 'bull',
      options as never, // options of BullMQ's classes, of which it reads those of its contract
      true,
    ) as unknown as IQueueBackend;
}
