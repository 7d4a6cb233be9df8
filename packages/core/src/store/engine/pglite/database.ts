/**
 * This module runs SQL on PGlite: PostgreSQL in this process, with one session. Statements run one after the other, and the
 * event loop turns between them: PGlite answers within microtasks, so who always asks again would stop all timers.
 */
import { setImmediate } from '../../../base/real-timers.js';
import { type QueryRunner, SharedDatabase, type SqlSession, sessionOn } from '../postgres/database.js';
import type { SqlResult } from '../postgres/pg-driver.js';
import type { PgliteInstance, PgliteResult, PgliteStatements } from './pglite-package.js';

/** Where a database comes from. */
export interface PgliteSource {
  /** Opens the database; called again after `close`. */
  open(): Promise<PgliteInstance>;
  /** Called when no app uses the database any more. */
  close(database: PgliteInstance): Promise<void>;
  /** Whether only Umbel uses the session, so that its settings may stay. */
  readonly ownsSession: boolean;
}

/** Number of the type `bigint`, which `pg` returns as text. */
const BIGINT = 20;
const OPTIONS = { parsers: { [BIGINT]: (text: string) => text } };

export class PgliteDatabase extends SharedDatabase {
  readonly #source: PgliteSource;
  #opened: Promise<PgliteInstance> | undefined;
  /** Settles after the last command that was given, and after the turn of the event loop that follows it. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Functions that end the notifications of a channel. */
  readonly #channels = new Map<string, Promise<() => Promise<void>>>();
  #isClosed = true;

  constructor(source: PgliteSource, schema: string) {
    super(schema);
    this.#source = source;
  }

  override retain(user: object): void {
    this.#isClosed = false;
    super.retain(user);
  }

  query(text: string, params?: readonly unknown[]): Promise<SqlResult> {
    return this.#inTurn(async (database) => {
      if (this.#source.ownsSession) return run(database, text, params);
      return database.transaction(async (session) => {
        await session.exec(this.#searchPath);
        return run(session, text, params);
      });
    });
  }

  /**
   * Runs statements in one transaction: those of the user of the database, or of another app, must not run among them. The
   * transactions inside are savepoints, and so is each statement outside of them, which may fail.
   */
  session<T>(statements: (session: SqlSession) => Promise<T>): Promise<T> {
    return this.#inTurn((database) =>
      database.transaction(async (outer) => {
        let isInside = false;
        const step = async (text: string, params?: readonly unknown[]) => {
          const result = await run(outer, text, params);
          await nextTurn();
          return result;
        };
        const begin = () => step('SAVEPOINT umbel');
        const end = () => step('RELEASE SAVEPOINT umbel');
        const undo = () => step('ROLLBACK TO SAVEPOINT umbel').then(end);
        const query: QueryRunner = async (text, params) => {
          if (text === 'BEGIN') {
            isInside = true;
            return begin();
          }
          if (text === 'COMMIT' || text === 'ROLLBACK') {
            isInside = false;
            return text === 'COMMIT' ? end() : undo();
          }
          if (isInside) return step(text, params);
          await begin();
          try {
            const result = await step(text, params);
            await end();
            return result;
          } catch (error) {
            await undo();
            throw error;
          }
        };
        await step(this.#searchPath);
        return statements(sessionOn(query).session);
      }),
    );
  }

  async listen(channel: string): Promise<void> {
    let listening = this.#channels.get(channel);
    if (listening === undefined) {
      listening = this.#inTurn((database) =>
        database.listen(channel, (payload) => this.emit('notification', { channel, payload })),
      );
      this.#channels.set(channel, listening);
      listening.catch(() => this.#channels.delete(channel));
    }
    await listening;
  }

  protected async close(): Promise<void> {
    this.#isClosed = true;
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    // After the commands before it. Those of an app that opens the database again come after it.
    const closing = this.#tail.then(async () => {
      const opened = this.#opened;
      this.#opened = undefined;
      const database = await opened?.catch(() => undefined);
      if (database === undefined) return;
      for (const listening of channels) await listening.then((end) => end()).catch(() => {});
      await this.#source.close(database);
    });
    this.#tail = closing.catch(() => {});
    await closing;
  }

  /** Sets the schema of names without one, until the end of the transaction. */
  get #searchPath(): string {
    return `SET LOCAL search_path TO "${this.schema}"`;
  }

  /** Runs a command after all that were given before it. */
  #inTurn<T>(command: (database: PgliteInstance) => Promise<T>): Promise<T> {
    if (this.#isClosed)
      return Promise.reject(new Error('Client was closed: no app uses the database any more'));
    const answer = this.#tail.then(async () => {
      this.#opened ??= this.#open();
      try {
        return await command(await this.#opened);
      } catch (error) {
        throw withoutParams(error);
      }
    });
    this.#tail = answer.then(nextTurn, nextTurn);
    return answer;
  }

  async #open(): Promise<PgliteInstance> {
    try {
      const database = await this.#source.open();
      if (this.#source.ownsSession) await database.exec(`SET search_path TO "${this.schema}"`);
      return database;
    } catch (error) {
      this.#opened = undefined; // the next command tries again
      throw error;
    }
  }
}

/** Runs a statement, and returns its rows as `pg` does. Statements without parameters may be several. */
async function run(
  session: PgliteStatements,
  text: string,
  params: readonly unknown[] = [],
): Promise<SqlResult> {
  const result: PgliteResult | undefined =
    params.length === 0
      ? (await session.exec(text, OPTIONS)).at(-1)
      : await session.query(text, [...params], OPTIONS);
  const { rows = [], affectedRows = 0 } = result ?? {};
  return { rows, rowCount: rows.length || affectedRows };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Removes the parameters that PGlite adds to an error: they contain inputs of jobs, and errors are logged. */
function withoutParams(error: unknown): unknown {
  if (typeof error === 'object' && error !== null) {
    for (const name of ['params', 'query', 'queryOptions']) Reflect.deleteProperty(error, name);
  }
  return error;
}
