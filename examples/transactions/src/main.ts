import type { AsyncResult, OpenTransaction } from '@umbel/core';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable } from 'drizzle-orm/pg-core';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { app, fulfil, reserve } from './tasks.js';

if (!process.env.UMBEL_URL?.startsWith('postgres'))
  throw new Error('Set UMBEL_URL=postgres://user@host/database.');
const pool = new pg.Pool({ connectionString: process.env.UMBEL_URL.split('?')[0] });
await pool.query('CREATE TABLE IF NOT EXISTS example_order (id integer)');
await app.worker().start();

/** Sends a workflow in the transaction in which the order is stored. */
function send(transaction: OpenTransaction, order: number): Promise<AsyncResult<string>> {
  return app.in(transaction).send(fulfil, { order }, { idempotencyKey: `order ${order}` });
}

// With a client of `pg`.
const client = await pool.connect();
await client.query('BEGIN');
await client.query('INSERT INTO example_order (id) VALUES ($1)', [1]);
const first = await send(client, 1);
console.log('before the commit:', await first.state());
await client.query('COMMIT');
console.log('pg:', await first.get());

// A call that is sent in a transaction that is rolled back does not exist.
await client.query('BEGIN');
const never = await app.in(client).send(reserve, { order: 2 });
await client.query('ROLLBACK');
client.release();
console.log('rolled back:', await never.get().catch((error: Error) => error.name));

// With Drizzle.
const orders = pgTable('example_order', { id: integer() });
const drizzled = await drizzle(pool).transaction(async (tx) => {
  await tx.insert(orders).values({ id: 3 });
  return send(tx, 3);
});
console.log('Drizzle:', await drizzled.get());

// With Kysely.
const kysely = new Kysely<{ example_order: { id: number } }>({ dialect: new PostgresDialect({ pool }) });
const built = await kysely.transaction().execute(async (trx) => {
  await trx.insertInto('example_order').values({ id: 4 }).execute();
  return send(trx, 4);
});
console.log('Kysely:', await built.get());

await pool.query('DROP TABLE example_order');
await app.close();
await pool.end();
