/**
 * This module runs the statements of a call in a transaction of the user, on the user's own connection. The names of the
 * store are qualified there, so the user's `search_path` stays, and statements of the user may run between those of Umbel.
 * No statement is repeated: an error has aborted the transaction.
 */
import { EventEmitter } from 'node:events';
import { quoteSchemaName } from 'bullmq';
import { InvalidOptionError } from '../../../base/errors.js';
import type { Engine } from '../engine.js';
import type { OpenTransaction, TransactionScope, TransactionState } from '../transaction.js';
import type { SqlDatabase } from './database.js';
import type { SqlResult } from './pg-driver.js';
import { type Run, statementsOf } from './statements.js';

/** What is known about the connection of a transaction object. */
interface Known {
  /** Statements run one after the other: a client may refuse several at once. */
  tail: Promise<unknown>;
  /** The last transaction that was checked. */
  id: string | undefined;
}

const known = new WeakMap<object, Known>();

/** Returns the use of a transaction by one call. @throws {InvalidOptionError} for an object that is no transaction. */
export function scopeIn(
  transaction: OpenTransaction,
  outer: SqlDatabase,
  engineOf: (database: SqlDatabase) => Engine,
): TransactionScope {
  const run = statementsOf(transaction);
  const connection = known.get(transaction) ?? { tail: Promise.resolve(), id: undefined };
  known.set(transaction, connection);
  const database = new TransactionDatabase(outer.schema, run, connection);
  return {
    engine: engineOf(database),
    begin: () => database.begin(transaction),
    end: () => database.end(),
    state: () => stateOf(outer, database.id),
  };
}

/** The database as a transaction sees it. */
class TransactionDatabase extends EventEmitter implements SqlDatabase {
  readonly schema: string;
  readonly barrier = undefined;
  readonly sharesStatements = false;
  readonly #run: Run;
  readonly #connection: Known;
  readonly #qualified: (statement: string) => string;
  #isOver = false;
  /** Id of the transaction, once `begin` has settled. */
  id = '';

  constructor(schema: string, run: Run, connection: Known) {
    super();
    this.schema = schema;
    this.#run = run;
    this.#connection = connection;
    this.#qualified = qualifierOf(schema);
  }

  async begin(transaction: OpenTransaction): Promise<void> {
    const read = async () => {
      const ledger = `${quoteSchemaName(this.schema)}.umbel_migration`;
      const { rows } = await this.query(
        'SELECT pg_current_xact_id()::text AS id, to_regclass($1::text) IS NOT NULL AS "isStore"',
        [ledger],
      );
      return (rows as [{ id: string; isStore: boolean }])[0];
    };
    const { id, isStore } = await read();
    if (!isStore) {
      const expected = `one in the database of the app's store: it has no schema "${this.schema}" of Umbel`;
      throw new InvalidOptionError('transaction', expected, transaction);
    }
    // Outside of a transaction each statement has its own.
    if (this.#connection.id !== id && (await read()).id !== id) {
      const expected =
        'a connection with an open transaction: run BEGIN first, and pass the client, not a pool';
      throw new InvalidOptionError('transaction', expected, transaction);
    }
    this.#connection.id = id;
    this.id = id;
  }

  end(): void {
    this.#isOver = true;
  }

  query(text: string, params: readonly unknown[] = []): Promise<SqlResult> {
    if (this.#isOver) return Promise.reject(new RangeError('Bug in Umbel: a command after its transaction.'));
    const statement = this.#qualified(text);
    const answer = this.#connection.tail.then(() => this.#run(statement, params));
    this.#connection.tail = answer.catch(() => {});
    return answer;
  }

  async ready(): Promise<void> {} // the app has connected before

  hold<T>(command: Promise<T>): Promise<T> {
    return command;
  }

  retain(): void {}

  async release(): Promise<void> {}

  session(): Promise<never> {
    return Promise.reject(new RangeError('Bug in Umbel: a session in a transaction of the user.'));
  }

  listen(): Promise<never> {
    return Promise.reject(new RangeError('Bug in Umbel: a notification in a transaction of the user.'));
  }
}

/** The tables, types and functions in the statements that send. */
const AFTER_KEYWORD =
  /\b(FROM|JOIN|INTO|UPDATE)(\s+)(job|job_dependency|job_log|dedup|meta|umbel_[a-z_]+)\b(?!\()/g;
const FUNCTION = /(?<![\w.])((?:add_job|add_flow|add_jobs_bulk|change_delay|promote|umbel_[a-z_]+)\()/g;
const TYPE = /::(job_state|dep_status)\b/g;

/** Returns the function that writes the schema before the names of the store in a statement. */
function qualifierOf(schema: string): (statement: string) => string {
  const quoted = quoteSchemaName(schema);
  let statements = qualifiedStatements.get(schema);
  if (statements === undefined) {
    statements = new Map();
    qualifiedStatements.set(schema, statements);
  }
  const cached = statements;
  return (statement) => {
    let qualified = cached.get(statement);
    if (qualified === undefined) {
      qualified = statement
        .replaceAll(/^\s*--.*$/gm, '')
        .replaceAll(AFTER_KEYWORD, `$1$2${quoted}.$3`)
        .replaceAll(FUNCTION, `${quoted}.$1`)
        .replaceAll(TYPE, `::${quoted}.$1`);
      cached.set(statement, qualified);
    }
    return qualified;
  };
}

/** Statements by schema. There are few. */
const qualifiedStatements = new Map<string, Map<string, string>>();

async function stateOf(outer: SqlDatabase, id: string): Promise<TransactionState> {
  const { rows } = await outer.query('SELECT pg_xact_status($1::text::xid8) AS state', [id]);
  switch ((rows as [{ state: string | null }])[0].state) {
    case 'in progress':
      return 'open';
    case 'committed':
      return 'committed';
    case 'aborted':
      return 'rolled back';
    default:
      return 'unknown';
  }
}
