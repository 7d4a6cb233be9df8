/**
 * This module runs SQL: on a pool of connections to a server, with one more connection that listens for notifications. All
 * apps of a process with the same URL share them.
 */
import { EventEmitter } from 'node:events';
import { quoteSchemaName } from 'bullmq';
import { setTimeout } from '../../../base/real-timers.js';
import { Listener } from './listener.js';
import type { Driver, PgClient, PgPool, SqlResult } from './pg-driver.js';
import { isDirectConnection } from './pooler.js';
import { migrate } from './schema.js';

export type QueryRunner = (text: string, params?: readonly unknown[]) => Promise<SqlResult>;

/** One connection, held for some statements. */
export interface SqlSession {
  readonly query: QueryRunner;
  /** Runs statements as one transaction. */
  transaction<T>(statements: () => Promise<T>): Promise<T>;
}

/**
 * A database with the schema of a store. Emits `notification` with a channel and a payload, and `lost` when notifications
 * may have been missed.
 */
export interface SqlDatabase extends EventEmitter {
  readonly schema: string;
  /** Whether calls of the same moment may share a statement, which may be repeated in parts after an error. */
  readonly sharesStatements: boolean;
  query(text: string, params?: readonly unknown[]): Promise<SqlResult>;
  /** Runs statements on one connection. */
  session<T>(statements: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Connects, and migrates the schema if needed. */
  ready(): Promise<void>;
  /** Begins to emit the notifications of a channel. */
  listen(channel: string): Promise<void>;
  /** Settles when the command has that later commands must not overtake; undefined if there is none. */
  readonly barrier: Promise<unknown> | undefined;
  /** Holds later commands back until this one has its answer, and returns it. */
  hold<T>(command: Promise<T>): Promise<T>;
  /** Adds a user. The last one that leaves closes the database. */
  retain(user: object): void;
  release(user: object): Promise<void>;
}

/** The part of a database that all kinds share: its users, and that it is prepared once. */
export abstract class SharedDatabase extends EventEmitter implements SqlDatabase {
  readonly schema: string;
  readonly sharesStatements = true;
  readonly #users = new Set<object>();
  #ready: Promise<void> | undefined;
  #barrier: Promise<unknown> | undefined;

  constructor(schema: string) {
    super();
    this.setMaxListeners(0);
    this.schema = schema;
  }

  abstract query(text: string, params?: readonly unknown[]): Promise<SqlResult>;
  abstract session<T>(statements: (session: SqlSession) => Promise<T>): Promise<T>;
  abstract listen(channel: string): Promise<void>;
  protected abstract close(): Promise<void>;

  ready(): Promise<void> {
    if (this.#ready === undefined) {
      const ready = migrate(this);
      this.#ready = ready;
      ready.catch(() => {
        if (this.#ready === ready) this.#ready = undefined;
      });
    }
    return this.#ready;
  }

  get barrier(): Promise<unknown> | undefined {
    return this.#barrier;
  }

  hold<T>(command: Promise<T>): Promise<T> {
    const barrier = Promise.allSettled([this.#barrier, command]);
    this.#barrier = barrier;
    void barrier.then(() => {
      if (this.#barrier === barrier) this.#barrier = undefined;
    });
    return command;
  }

  retain(user: object): void {
    this.#users.add(user);
  }

  async release(user: object): Promise<void> {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    this.#ready = undefined;
    await this.close();
  }
}

/** Returns a session on one connection, and a function that tells whether a transaction of it could not be ended. */
export function sessionOn(query: QueryRunner): { session: SqlSession; isBroken(): boolean } {
  let isBroken = false;
  return {
    isBroken: () => isBroken,
    session: {
      query,
      async transaction(inside) {
        await query('BEGIN');
        try {
          const value = await inside();
          await query('COMMIT');
          return value;
        } catch (error) {
          await query('ROLLBACK').catch(() => {
            isBroken = true;
          });
          throw error;
        }
      },
    },
  };
}

/** Number of connections of the pool. */
export const POOL_CONNECTIONS = 10;
/** Time limit for opening a connection. */
const CONNECT_MS = 5000;

/** Functions that are called for each job: each connection parses the one statement that calls them once, by their name. */
const PREPARED = /\bFROM (umbel_(?:turn|look|add_jobs|add_flow))\(\$1/;

/** Ends a pool once it has begun all its statements: those that wait for a connection would get none, and fail late. */
async function endPool(pool: PgPool): Promise<void> {
  while (pool.waitingCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await pool.end().catch(() => {});
}

/** A PostgreSQL server. */
export class PostgresDatabase extends SharedDatabase {
  readonly #driver: Driver;
  readonly #config: Record<string, unknown>;
  readonly #max: number;
  #pool: PgPool | undefined;
  readonly #listener: Listener<PgClient>;
  #isChecked = false;

  constructor(driver: Driver, connectionString: string, schema: string, max: number) {
    super(schema);
    this.#driver = driver;
    this.#max = max;
    this.#config = {
      connectionString,
      application_name: 'umbel',
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_MS,
    };
    this.#listener = new Listener({
      open: async (lost) => {
        const client = new driver.Client({ ...this.#config, application_name: 'umbel listener' });
        client.on('error', lost);
        await client.connect();
        return client;
      },
      prepare: (client) => this.#prepare(client),
      close: (client) => client.end().catch(() => {}),
      query: (text, params) => this.query(text, params),
      target: this,
    });
  }

  /**
   * Prepares a new connection: names in BullMQ's statements are without a schema. A start-up option would be shorter, but
   * PgBouncer refuses it, and the URL of the user may have options.
   */
  readonly #prepare = async (client: Pick<PgClient, 'query'>): Promise<void> => {
    await client.query(`SET search_path TO ${quoteSchemaName(this.schema)}`);
  };

  /** Through a pooler, also checks that it keeps sessions. @throws {StoreConfigurationError} if it does not. */
  override async ready(): Promise<void> {
    await super.ready();
    if (this.#isChecked) return;
    const client = await this.#connections().connect();
    const isDirect = await isDirectConnection(client).finally(() => client.release());
    if (!isDirect) await this.#listener.connect();
    this.#isChecked = true;
  }

  query(text: string, params?: readonly unknown[]): Promise<SqlResult> {
    const [, name] = PREPARED.exec(text) ?? [];
    return this.#connections().query(name === undefined ? text : { name, text }, params);
  }

  async session<T>(statements: (session: SqlSession) => Promise<T>): Promise<T> {
    const client = await this.#connections().connect();
    const { session, isBroken } = sessionOn((text, params) => client.query(text, params));
    try {
      return await statements(session);
    } finally {
      client.release(isBroken());
    }
  }

  listen(channel: string): Promise<void> {
    return this.#listener.listen(channel);
  }

  protected async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await Promise.all([this.#listener.close(), pool && endPool(pool)]);
  }

  /**
   * Prepares a connection of the pool before its first use. While it is in use the pool does not listen for its errors, and
   * one without a listener would end the process. The statement gets the error, too.
   */
  readonly #verify = (client: Pick<PgClient, 'query' | 'on'>, done: (error?: Error) => void): void => {
    client.on('error', () => {});
    this.#prepare(client).then(() => done(), done);
  };

  #connections(): PgPool {
    if (this.#pool === undefined) {
      this.#pool = new this.#driver.Pool({ ...this.#config, max: this.#max, verify: this.#verify });
      // The command that uses a broken connection gets the error, too.
      this.#pool.on('error', () => {});
    }
    return this.#pool;
  }
}
