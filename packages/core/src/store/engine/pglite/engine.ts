/** This module resolves a connection to PGlite, and describes it. It opens nothing. */
import type { BackendFactory } from 'bullmq';
import { InvalidOptionError } from '../../../base/errors.js';
import { checkOptions, type OptionNames } from '../../../base/option-checks.js';
import { type Engine, withEngine } from '../engine.js';
import { DEFAULT_SCHEMA, isSchemaName, sqlBackends } from '../postgres/engine.js';
import { postgresAdvice } from '../postgres/errors.js';
import { migrationsOf } from '../postgres/schema.js';
import { scopeIn } from '../postgres/user-transaction.js';
import { PgliteDatabase, type PgliteSource } from './database.js';
import { loadPglite, type PgliteInstance } from './pglite-package.js';
import { folderSource, memorySource, pathOfFolder, userSource } from './sources.js';

/** The databases of this process by address. */
const databases = new Map<string, PgliteDatabase>();

/** The databases that users have opened, by instance and schema. */
const databasesOfUsers = new WeakMap<PgliteInstance, Map<string, PgliteDatabase>>();

/** A new database takes seconds of processor time. */
const OPENING_MS = 120_000;

const MEMORY = 'pglite:memory';

/**
 * Returns the engine for `pglite:` and a folder, or `pglite:memory`.
 * @param option Names the source of the URL, for the error.
 * @throws {InvalidOptionError} for an invalid URL.
 * @throws {MissingPackageError} if `@electric-sql/pglite` is not installed.
 */
export function pgliteEngine(option: string, source: string): Engine {
  const folder = source.slice('pglite:'.length);
  if (folder === '' || folder.startsWith('//') || folder.includes('\0')) {
    const expected = `pglite: and a folder, such as pglite:./data, or ${MEMORY}`;
    throw new InvalidOptionError(option, expected, source);
  }
  const loaded = loadPglite();
  const isInMemory = source === MEMORY;
  const path = isInMemory ? 'memory' : pathOfFolder(folder);
  const open = () => (isInMemory ? memorySource(loaded) : folderSource(loaded, path));
  return {
    ...engineOn(DEFAULT_SCHEMA, () => sharedIn(databases, path, open, DEFAULT_SCHEMA)),
    address: `pglite:${path}`,
    ...(isInMemory && { isInMemory }),
    describe: () => ({ kind: 'pglite', addresses: [path], database: 0, isEncrypted: false }),
  };
}

/** Options of {@link pglite}. */
export interface PgliteOptions {
  /** A database of the package `@electric-sql/pglite`. Umbel does not close it. */
  readonly db: PgliteInstance;
  /** Schema of Umbel's tables: lower-case letters, digits and underscores. Default: `umbel`. */
  readonly schema?: string | undefined;
}

const OPTIONS: OptionNames<PgliteOptions> = { db: true, schema: true };

/**
 * Creates the `connection` of an app from a PGlite database of yours, in which your own tables may be, too. Close it after
 * the app. Umbel's tables are in a schema of their own, and the `search_path` of the database stays as it is.
 *
 * Do not wait for a call of the app inside `db.transaction`: the call waits for the end of the transaction. Send with
 * `app.in(transaction)` there.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * const opened = await PGlite.create('./data');
 * const app = createApp({ name: 'shop', connection: pglite({ db: opened }) });
 */
export function pglite(options: PgliteOptions): BackendFactory {
  const { db, schema = DEFAULT_SCHEMA } = checkOptions(options, OPTIONS, { example: '{ db: new PGlite() }' });
  if (typeof db !== 'object' || db === null || typeof db.listen !== 'function')
    throw new InvalidOptionError('db', 'a database of @electric-sql/pglite, such as new PGlite()', db);
  if (!isSchemaName(schema))
    throw new InvalidOptionError('schema', 'lower-case letters, digits and underscores', schema);
  const known = databasesOfUsers.get(db) ?? new Map<string, PgliteDatabase>();
  databasesOfUsers.set(db, known);
  const databaseOf = () => sharedIn(known, schema, () => userSource(db), schema);
  const engine: Engine = {
    ...engineOn(schema, databaseOf),
    inTransaction: (transaction) =>
      scopeIn(
        transaction,
        databaseOf(),
        (database) => ({ ...engine, factory: sqlBackends(() => database) }),
        {
          holdsStore: true,
          isOpen: () => (transaction as { closed?: unknown }).closed === false,
        },
      ),
  };
  return withEngine(engine.factory, engine);
}

function engineOn(schema: string, databaseOf: () => PgliteDatabase): Engine {
  return {
    kind: 'pglite',
    isShared: false,
    options: {},
    factory: sqlBackends(databaseOf),
    isClient: false,
    mayStaySilent: false,
    openingMs: OPENING_MS,
    address: 'a PGlite database of the program',
    migrations: migrationsOf(schema, databaseOf),
    describe: () => ({ kind: 'pglite', addresses: [], database: 0, isEncrypted: false }),
    advise: postgresAdvice,
  };
}

/** Returns the database of a key, which all apps share. */
function sharedIn(
  known: Map<string, PgliteDatabase>,
  key: string,
  open: () => PgliteSource,
  schema: string,
): PgliteDatabase {
  let database = known.get(key);
  if (database === undefined) {
    database = new PgliteDatabase(open(), schema);
    known.set(key, database);
  }
  return database;
}
