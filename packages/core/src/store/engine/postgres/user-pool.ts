/**
 * This module runs SQL on a pool of the user. Its connections also run statements of the user, so their `search_path` stays:
 * each statement has a transaction of its own, in which the path is set.
 */
import type { BackendFactory } from 'bullmq';
import { InvalidOptionError } from '../../../base/errors.js';
import { checkOptions, type OptionNames } from '../../../base/option-checks.js';
import { withEngine } from '../engine.js';
import { SharedDatabase, type SqlSession, sessionOn } from './database.js';
import { DEFAULT_SCHEMA, isSchemaName, serverEngine } from './engine.js';
import { Listener } from './listener.js';
import type { SqlResult } from './pg-driver.js';

/**
 * A client of a {@link PostgresPool}.
 * @example
 * const client: PostgresPoolClient = await new Pool().connect();
 * client.release();
 */
export interface PostgresPoolClient {
  query(text: string, params?: unknown[]): Promise<SqlRows>;
  /** Returns the client to the pool, which closes it if `destroys` is true. */
  release(destroys?: boolean): void;
  on(event: string, listener: (...args: never[]) => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/**
 * The answer to a statement of a {@link PostgresPoolClient}.
 * @example
 * const { rows }: SqlRows = await new Pool().query('SELECT 1 AS one');
 */
export interface SqlRows {
  readonly rows: unknown[];
  readonly rowCount: number | null;
}

/**
 * The part of a pool of the package `pg` that Umbel uses: what `new pg.Pool()` returns.
 * @example
 * const pool: PostgresPool = new Pool({ host: '/var/run/postgresql', max: 20 });
 * const app = createApp({ name: 'shop', connection: postgres({ pool }) });
 */
export interface PostgresPool {
  connect(): Promise<PostgresPoolClient>;
}

/** Options of {@link postgres}. */
export interface PostgresOptions {
  /** A pool of the package `pg`, with two connections or more. Umbel does not close it. */
  readonly pool: PostgresPool;
  /** Schema of Umbel's tables: lower-case letters, digits and underscores. Default: `umbel`. */
  readonly schema?: string | undefined;
}

const OPTIONS: OptionNames<PostgresOptions> = { pool: true, schema: true };

/** The databases on pools of users, by pool and schema. */
const databases = new WeakMap<PostgresPool, Map<string, UserPoolDatabase>>();

/**
 * Creates the `connection` of an app from a pool of yours, whose settings and limit of connections then apply to the app,
 * too. One connection of it listens for notifications while the app is open. Close the pool after the app.
 *
 * A statement takes three round trips instead of one, because the `search_path` of your connections stays as it is. A URL is
 * faster.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * const pool = new Pool({ host: '/var/run/postgresql', max: 20 });
 * const app = createApp({ name: 'shop', connection: postgres({ pool }) });
 */
export function postgres(options: PostgresOptions): BackendFactory {
  const { pool, schema = DEFAULT_SCHEMA } = checkOptions(options, OPTIONS, {
    example: '{ pool: new pg.Pool() }',
  });
  if (typeof pool !== 'object' || pool === null || typeof pool.connect !== 'function')
    throw new InvalidOptionError('pool', 'a pool of pg, such as new pg.Pool()', pool);
  const { max } = (pool as { options?: { max?: unknown } }).options ?? {};
  if (typeof max === 'number' && max < 2)
    throw new InvalidOptionError('pool', 'a pool of two connections or more, because one listens', { max });
  if (!isSchemaName(schema))
    throw new InvalidOptionError('schema', 'lower-case letters, digits and underscores', schema);
  const known = databases.get(pool) ?? new Map<string, UserPoolDatabase>();
  databases.set(pool, known);
  const databaseOf = () => {
    const database = known.get(schema) ?? new UserPoolDatabase(pool, schema);
    known.set(schema, database);
    return database;
  };
  const engine = serverEngine(schema, databaseOf, {
    address: 'a PostgreSQL pool of the program',
    describe: () => ({ kind: 'postgres', addresses: [], database: 0, isEncrypted: false }),
  });
  return withEngine(engine.factory, engine);
}

/** The statement that runs on the client gets the error, too. */
const ignore = () => {};

class UserPoolDatabase extends SharedDatabase {
  readonly #pool: PostgresPool;
  readonly #listener: Listener<PostgresPoolClient>;

  constructor(pool: PostgresPool, schema: string) {
    super(schema);
    this.#pool = pool;
    this.#listener = new Listener({
      open: async (lost) => {
        const client = await pool.connect();
        client.on('error', lost);
        return client;
      },
      close: (client) => client.release(true),
      query: (text, params) => this.query(text, params),
      target: this,
    });
  }

  /** Runs a statement with the names of the store. */
  async query(text: string, params?: readonly unknown[]): Promise<SqlResult> {
    const client = await this.#connect();
    let isBroken = false;
    try {
      await client.query(`BEGIN; SET LOCAL search_path TO "${this.schema}"`);
      const result = await client.query(text, params === undefined ? undefined : [...params]);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {
        isBroken = true;
      });
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(isBroken);
    }
  }

  /** Runs statements on a connection that is closed afterwards, because they may set its `search_path`. */
  async session<T>(statements: (session: SqlSession) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    try {
      await client.query(`SET search_path TO "${this.schema}"`);
      return await statements(sessionOn((text, params) => client.query(text, params && [...params])).session);
    } finally {
      client.off('error', ignore);
      client.release(true);
    }
  }

  /** Takes a client, whose errors nobody else listens for while it is used: one without a listener would end the process. */
  async #connect(): Promise<PostgresPoolClient> {
    const client = await this.#pool.connect();
    client.on('error', ignore);
    return client;
  }

  listen(channel: string): Promise<void> {
    return this.#listener.listen(channel);
  }

  protected close(): Promise<void> {
    return this.#listener.close();
  }
}
