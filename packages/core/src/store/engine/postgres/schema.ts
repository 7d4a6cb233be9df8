/**
 * This module creates the schema of a store: BullMQ's objects by BullMQ's own migrations, then Umbel's. A ledger says which
 * versions were applied; processes that start at once wait for each other.
 */
import { LATEST_SCHEMA_VERSION, quoteSchemaName, runMigrations } from 'bullmq';
import { StoreConfigurationError } from '../../../base/errors.js';
import type { Migrations, SchemaState } from '../engine.js';
import type { QueryRunner, SqlDatabase, SqlSession } from './database.js';
import { LEDGER, OBJECTS, SCHEMA_VERSION } from './migration-sql.js';

/** Key of the advisory lock of migrations. */
const LOCK_KEY = 0x756d_626c;

/** Reads the ledger. Writes nothing and needs no rights but to read it. */
async function schemaState({ query }: SqlSession, schema: string): Promise<SchemaState> {
  try {
    const { rows } = await query(
      `SELECT max(version) AS version, bool_or(version = $1 AND bullmq_version = $2) AS "isCurrent"
         FROM ${quoteSchemaName(schema)}.umbel_migration`,
      [SCHEMA_VERSION, LATEST_SCHEMA_VERSION],
    );
    const [row] = rows as { version: number | null; isCurrent: boolean | null }[];
    if (row?.version != null && row.version > SCHEMA_VERSION) return 'newer';
    return row?.isCurrent === true ? 'current' : 'old';
  } catch (error) {
    if (MISSING.has((error as { code?: unknown }).code)) return 'old';
    throw error;
  }
}

/** SQLSTATE of a missing table and of a missing schema. */
const MISSING: ReadonlySet<unknown> = new Set(['42P01', '3F000']);

/** Migrates the schema, unless it is current. @throws {StoreConfigurationError} if a newer version has migrated it. */
export function migrate(database: SqlDatabase): Promise<void> {
  return database.session((session) => migrateIn(session, database.schema));
}

async function migrateIn(session: SqlSession, schema: string): Promise<void> {
  const state = await schemaState(session, schema);
  if (state === 'current') return;
  if (state === 'newer') throw newerSchema(schema);
  await runMigrations(session, schema);
  await session.transaction(async () => {
    await session.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LOCK_KEY, schema]);
    await session.query(`SET LOCAL search_path TO ${quoteSchemaName(schema)}`);
    await session.query(LEDGER);
    if ((await schemaState(session, schema)) === 'current') return;
    await session.query(OBJECTS);
    await session.query(
      'INSERT INTO umbel_migration (version, bullmq_version) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [SCHEMA_VERSION, LATEST_SCHEMA_VERSION],
    );
  });
}

/** Returns the migrations of a database. */
export function migrationsOf(schema: string, databaseOf: () => SqlDatabase): Migrations {
  const within = async <T>(use: (database: SqlDatabase) => Promise<T>): Promise<T> => {
    const database = databaseOf();
    const user = {};
    database.retain(user);
    try {
      return await use(database);
    } finally {
      await database.release(user);
    }
  };
  return {
    state: () => within((database) => database.session((session) => schemaState(session, schema))),
    migrate: () => within(migrate),
    script: () => migrationScript(schema),
  };
}

/** Returns the statements that a migration of an empty database runs. */
async function migrationScript(schema: string): Promise<string> {
  const statements: string[] = [];
  const query: QueryRunner = async (text, params = []) => {
    const statement = params.reduceRight<string>(
      (sql, value, index) => sql.replaceAll(`$${index + 1}`, () => literal(value)),
      text,
    );
    // What only reads is no part of a migration, except that it takes a lock.
    if (!/^\s*SELECT(?! pg_advisory)/.test(statement))
      statements.push(`${statement.trim().replace(/;$/, '')};`);
    // The answers of an empty database on the oldest server that BullMQ recommends.
    return { rows: [{ num: '140000', ver: '14', version: 0, min_client_version: 0, isCurrent: false }] };
  };
  const transaction = async <T>(inside: () => Promise<T>): Promise<T> => {
    statements.push('BEGIN;');
    const value = await inside();
    statements.push('COMMIT;');
    return value;
  };
  await migrateIn({ query, transaction }, schema);
  return `${statements.join('\n')}\n`;
}

function literal(value: unknown): string {
  return typeof value === 'number' ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
}

function newerSchema(schema: string): StoreConfigurationError {
  return new StoreConfigurationError(
    `The schema "${schema}" was migrated by a newer version of Umbel: expected version ${SCHEMA_VERSION} or older. ` +
      'Update Umbel in this process, or name another schema with ?schema= at the end of the URL.',
  );
}
