/** Sending in a transaction of the user: with the clients and query builders of users, for calls, many calls and workflows. */
import { randomUUID } from 'node:crypto';
import { chain, chord, group } from '@umbel/canvas';
import {
  type App,
  createApp,
  InvalidOptionError,
  JobStateError,
  type OpenTransaction,
  postgres,
  ValidationError,
} from '@umbel/core';
import { memory } from '@umbel/testing';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, sql as kyselySql, PostgresDialect } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';

const quiet = { info() {}, warn() {}, error() {} };
const numbers = z.object({ n: z.number() });

/** An app with tasks; `ran` has the inputs that its worker has handled. */
function tasksOf(app: App) {
  const ran: number[] = [];
  const double = app.task({
    name: 'double',
    input: numbers,
    run: async ({ n }) => {
      ran.push(n);
      return { n: n * 2 };
    },
  });
  const sum = app.task({
    name: 'sum',
    input: z.array(numbers),
    run: async (all) => ({ n: all.reduce((total, { n }) => total + n, 0) }),
  });
  return { double, sum, ran };
}

describeOnPostgres('in a transaction of the user', ({ server }) => {
  let pool: pg.Pool;
  let client: pg.PoolClient;
  let app: App;
  let tasks: ReturnType<typeof tasksOf>;
  let url: string;

  beforeAll(async () => {
    url = `${server().url}?schema=jobs`;
    pool = new pg.Pool({ connectionString: server().url });
    pool.on('error', () => {}); // the server may stop before the last connection has closed
    // Tables of the user with the names of the store's: no statement may mix them up.
    for (const name of ['job', 'meta', 'dedup', 'orders'])
      await pool.query(`CREATE TABLE ${name} (n integer)`);
    await pool.query('CREATE FUNCTION add_job() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$');
    app = createApp({ name: 'shop', connection: url, logger: quiet, sendTimeout: '50s' });
    tasks = tasksOf(app);
    await app.worker({ heartbeat: false, concurrency: 5 }).start();
  });

  afterAll(async () => {
    await app?.close();
    await pool?.end();
  });

  beforeEach(async () => {
    client = await pool.connect();
    tasks.ran.length = 0;
  });

  afterEach(async () => {
    await client.query('ROLLBACK'); // of a test that failed
    client.release();
  });

  const jobs = async (): Promise<number> =>
    (await pool.query('SELECT count(*)::int AS n FROM jobs.job')).rows[0].n;

  test('a call runs after the commit, and its handle waits only then', async () => {
    await client.query('BEGIN');
    await client.query('INSERT INTO orders VALUES (1)');
    const result = await app.in(client).send(tasks.double, { n: 1 });
    await client.query('INSERT INTO job VALUES (1)'); // the table of the user
    expect(await result.state()).toBe('unknown');
    await expect(result.get()).rejects.toThrow(JobStateError);
    await expect(result.get()).rejects.toThrow('in a transaction that is not committed');
    await expect(result.outcome()).rejects.toThrow('not committed');
    await expect(result.progress().next()).rejects.toThrow('not committed');
    await expect(result.members().next()).rejects.toThrow('not committed');
    await expect(result.collect().next()).rejects.toThrow('not committed');
    expect(tasks.ran).toEqual([]);
    await client.query('COMMIT');
    expect(await result.get({ timeout: '30s' })).toEqual({ n: 2 });
    expect((await client.query('SHOW search_path')).rows).toEqual([{ search_path: '"$user", public' }]);
  });

  test('nothing is left of a rolled back one', async () => {
    const before = await jobs();
    await client.query('BEGIN');
    const within = app.in(client);
    const result = await within.send(tasks.double, { n: 1 }, { tags: ['a'] });
    const run = await within.send(chord([tasks.double.s({ n: 1 })], tasks.sum.s()));
    await client.query('ROLLBACK');
    await expect(result.get()).rejects.toThrow('was rolled back');
    await expect(run.get()).rejects.toThrow('was rolled back');
    expect(await run.state()).toBe('unknown');
    expect(await jobs()).toBe(before);
    expect((await pool.query('SELECT * FROM jobs.umbel_tag')).rows).toEqual([]);
    // What a savepoint has undone is unknown, though its transaction commits.
    await client.query('BEGIN; SAVEPOINT here');
    const undone = await within.send(tasks.double, { n: 1 });
    await client.query('ROLLBACK TO here; COMMIT');
    await expect(undone.get()).rejects.toThrow('does not hold');
    expect(tasks.ran).toEqual([]);
  });

  test('many calls, workflows and calls by name run together', async () => {
    await client.query('BEGIN');
    const within = app.in(client);
    const many = await within.sendMany(
      tasks.double,
      Array.from({ length: 600 }, (_, n) => ({ n })),
    );
    const again = await within.sendMany(tasks.double, [{ n: 7 }, { n: 8 }]);
    const [joined, chained, lazy, named] = await Promise.all([
      within.send(chord([tasks.double.s({ n: 1 }), tasks.double.s({ n: 2 })], tasks.sum.s())),
      within.send(chain(tasks.double, tasks.double), { n: 3 }, { headers: { from: 'test' }, tags: ['all'] }),
      within.send(
        group(
          (function* () {
            for (let n = 0; n < 5; n += 1) yield tasks.double.s({ n });
          })(),
        ),
      ),
      within.send('double', { n: 4 }, { countdown: 1 }),
    ]);
    expect(tasks.ran).toEqual([]);
    await client.query('COMMIT');
    const values = await Promise.all([...many, ...again].map((result) => result.get({ timeout: '60s' })));
    expect(values.map(({ n }) => n)).toEqual([...Array.from({ length: 600 }, (_, n) => n * 2), 14, 16]);
    expect(await joined.get({ timeout: '30s' })).toEqual({ n: 6 });
    expect(await chained.get({ timeout: '30s' })).toEqual({ n: 12 });
    expect(await lazy.get({ timeout: '30s' })).toEqual([0, 2, 4, 6, 8].map((n) => ({ n })));
    expect(await named.get({ timeout: '30s' })).toEqual({ n: 8 });
    const found = [];
    for await (const { id } of app.find({ tag: 'all' })) found.push(id);
    expect(found).toEqual([chained.id]);
  });

  test('an idempotency key has one job, also of transactions at the same time', async () => {
    const other = await pool.connect();
    try {
      await client.query('BEGIN');
      await other.query('BEGIN');
      const options = { idempotencyKey: randomUUID() };
      const first = await app.in(client).send(tasks.double, { n: 5 }, options);
      expect((await app.in(client).send(tasks.double, { n: 5 }, options)).id).toBe(first.id);
      const second = app.in(other).send(tasks.double, { n: 5 }, options); // waits for the first transaction
      await client.query('COMMIT');
      expect((await second).id).toBe(first.id);
      await other.query('COMMIT');
      expect(await (await second).get({ timeout: '30s' })).toEqual({ n: 10 });
      expect(tasks.ran).toEqual([5]);
      await client.query('BEGIN');
      await expect(app.in(client).send(tasks.double, { n: 6 }, options)).rejects.toThrow('already used');
      await client.query('ROLLBACK');
    } finally {
      await other.query('ROLLBACK'); // if the test failed
      other.release();
    }
  });

  test('deduplicated calls are decided in it', async () => {
    const once = app.task({
      name: `once-${randomUUID()}`,
      input: numbers,
      unique: true,
      run: async ({ n }) => n,
    });
    const later = app.task({
      name: `later-${randomUUID()}`,
      input: numbers,
      debounce: { for: '1h', maxWait: '2h' },
      run: async ({ n }) => n,
    });
    await client.query('BEGIN');
    const within = app.in(client);
    const [one, two] = [await within.send(once, { n: 1 }), await within.send(once, { n: 1 })];
    expect(two.id).toBe(one.id);
    const replaced = await within.send(later, { n: 1 });
    expect((await within.send(later, { n: 1 })).id).not.toBe(replaced.id);
    await client.query('COMMIT');
    expect(await one.get({ timeout: '30s' })).toBe(1);
  });

  test('a mistake is named', async () => {
    const { double } = tasks;
    const plain = app.in(client);
    await expect(plain.send(double, { n: 1 })).rejects.toThrow('run BEGIN first');
    await expect(app.in(pool).send(double, { n: 1 })).rejects.toThrow(InvalidOptionError);
    expect(() => app.in({} as never)).toThrow('a client of `pg` on which BEGIN ran');
    await pool.query('CREATE DATABASE elsewhere');
    const elsewhere = new pg.Client({ connectionString: server().url.replace(/postgres$/, 'elsewhere') });
    await elsewhere.connect();
    await elsewhere.query('BEGIN');
    await expect(app.in(elsewhere).send(double, { n: 1 })).rejects.toThrow('no schema "jobs"');
    await elsewhere.end();
    const foreign = createApp({ name: 'other', connection: url, logger: quiet });
    const task = foreign.task({ name: 'task', run: async () => 1 });
    await client.query('BEGIN');
    await expect(plain.send(task)).rejects.toThrow('of this app');
    await expect(plain.send(1 as never)).rejects.toThrow('the name of a task');
    await expect(plain.send(double, { n: 'x' } as never)).rejects.toThrow(ValidationError);
    await expect(client.query('SELECT 1/0')).rejects.toThrow('division by zero');
    // The error of the user's connection, as it is: the transaction is over.
    await expect(plain.send(double, { n: 1 })).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK');
    await foreign.close();
  });

  test('a pool of the user runs the app within its limit, and keeps its own settings', async () => {
    const own = new pg.Pool({ connectionString: server().url, max: 3, application_name: 'own pool' });
    own.on('error', () => {});
    own.on('connect', (connection) => connection.query('SET search_path TO public'));
    const shop = createApp({
      name: 'pooled',
      connection: postgres({ pool: own, schema: 'pooled' }),
      logger: quiet,
    });
    const { double, sum } = tasksOf(shop);
    await shop.worker({ heartbeat: false, concurrency: 5 }).start();
    const members = [1, 2, 3, 4, 5].map((n) => double.s({ n }));
    const run = await chord(members, sum.s()).delay();
    expect(await run.get({ timeout: '30s' })).toEqual({ n: 30 });
    const connections = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'own pool'`;
    expect((await pool.query(connections)).rows[0].n).toBeLessThanOrEqual(3);
    await own.query('INSERT INTO job VALUES (4711)'); // the table of the user
    expect((await own.query('SHOW search_path')).rows).toEqual([{ search_path: 'public' }]);
    const inside = await own.connect();
    await inside.query('BEGIN');
    const sent = await shop.in(inside).send(double, { n: 4 });
    await expect(sent.get()).rejects.toThrow(JobStateError);
    await inside.query('COMMIT');
    inside.release();
    expect(await sent.get({ timeout: '30s' })).toEqual({ n: 8 });
    await shop.close();
    expect((await own.query('SELECT n FROM job WHERE n = 4711')).rows).toEqual([{ n: 4711 }]);
    expect(own.totalCount).toBeLessThanOrEqual(3);
    await own.end();
  });

  test('a pool of the user is checked', () => {
    expect(() => postgres({ pool: {} as never })).toThrow('a pool of pg');
    expect(() => postgres({ pool: new pg.Pool({ max: 1 }) })).toThrow('two connections or more');
    expect(() => postgres({ pool, schema: 'a b' })).toThrow(InvalidOptionError);
    expect(() => postgres({ pool, url } as never)).toThrow(InvalidOptionError);
  });

  describe('of', () => {
    const both = async (
      inTransaction: (send: (tx: OpenTransaction) => Promise<void>, isKept: boolean) => Promise<unknown>,
    ) => {
      const sent: { get(options: { timeout: '30s' }): Promise<unknown> }[] = [];
      const send = async (tx: OpenTransaction) => {
        const within = app.in(tx);
        sent.push(await within.send(tasks.double, { n: 20 }));
        sent.push(
          await within.send(chord([tasks.double.s({ n: 1 }), tasks.double.s({ n: 2 })], tasks.sum.s())),
        );
        sent.push(...(await within.sendMany(tasks.double, [{ n: 21 }])));
      };
      await inTransaction(send, true);
      const [one, two, three] = await Promise.all(sent.map((result) => result.get({ timeout: '30s' })));
      expect([one, two, three]).toEqual([{ n: 40 }, { n: 6 }, { n: 42 }]);
      sent.length = 0;
      await expect(inTransaction(send, false)).rejects.toThrow('no');
      for (const result of sent) await expect(result.get({ timeout: '30s' })).rejects.toThrow('rolled back');
    };
    const end = (isKept: boolean) => {
      if (!isKept) throw new Error('no');
    };

    test('Drizzle', async () => {
      const db = drizzle(pool);
      await both((send, isKept) =>
        db.transaction(async (tx) => {
          await tx.execute(sql`INSERT INTO orders VALUES (2)`);
          await send(tx);
          end(isKept);
        }),
      );
    });

    test('Kysely', async () => {
      const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
      await both((send, isKept) =>
        db.transaction().execute(async (trx) => {
          await kyselySql`INSERT INTO orders VALUES (3)`.execute(trx);
          await send(trx);
          end(isKept);
        }),
      );
    });

    /** Runs `work` on a client of `pg`, as a query builder does. */
    const transaction = async (work: () => Promise<void>) => {
      await client.query('BEGIN');
      try {
        await work();
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      }
    };

    test('an object with the raw queries of Prisma', async () => {
      const tx = {
        $queryRawUnsafe: async (statement: string, ...values: unknown[]) =>
          (await client.query(statement, values)).rows,
      };
      await both((send, isKept) =>
        transaction(async () => {
          await send(tx);
          end(isKept);
        }),
      );
    });

    test('a function', async () => {
      await both((send, isKept) =>
        transaction(async () => {
          await send(async (statement, parameters) => client.query(statement, [...parameters]));
          end(isKept);
        }),
      );
    });
  });
});

describe('on a store that is in no database of the user', () => {
  test.each(['memory', 'redis'] as const)('%s, the error names the outbox', async (kind) => {
    const connection = kind === 'memory' ? memory() : inject('redisUrl');
    const app = createApp({ name: 'shop', connection, logger: quiet });
    expect(() => app.in({ query: async () => ({ rows: [] }) })).toThrow('see "Outbox" in docs/recipes.md');
    await app.close();
  });
});
