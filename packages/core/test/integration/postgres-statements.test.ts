/** How many statements calls take on a PostgreSQL server, and how many rows these read. */
import { randomUUID } from 'node:crypto';
import { createApp, type PostgresPool, postgres } from '@umbel/core';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { PostgresDatabase } from '../../src/store/engine/postgres/database.js';
import { loadDriver } from '../../src/store/engine/postgres/pg-driver.js';
import { migrate } from '../../src/store/engine/postgres/schema.js';

describeOnPostgres('statements on a PostgreSQL server', ({ server, newClient }) => {
  const ends: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  /** A pool that collects the statements that it runs. */
  function countingPool(): { pool: PostgresPool; statements: string[] } {
    const statements: string[] = [];
    const { Pool } = loadDriver();
    const own = new Pool({ connectionString: server().url });
    own.on('error', () => {});
    ends.push(() => own.end());
    const counted = new WeakSet<object>();
    const connect = async () => {
      const client = (await (own as unknown as PostgresPool).connect()) as Awaited<
        ReturnType<PostgresPool['connect']>
      >;
      if (counted.has(client)) return client;
      counted.add(client);
      const query = client.query.bind(client);
      client.query = (text: string, ...rest: never[]) => {
        statements.push(text);
        return query(text, ...rest);
      };
      return client;
    };
    return { pool: { connect }, statements };
  }

  test('a call and its result take five, and events are read only now and then', async () => {
    const { pool, statements } = countingPool();
    const schema = `s${randomUUID().replaceAll('-', '')}`;
    const logger = { info() {}, warn() {}, error() {} };
    const app = createApp({ name: 'counted', connection: postgres({ pool, schema }), logger });
    ends.push(() => app.close());
    const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
    await app.worker({ heartbeat: false }).start();
    for (let n = 0; n < 5; n += 1) expect(await (await add.delay(n)).get()).toBe(n + 1);
    statements.length = 0;
    const since = performance.now();
    const CALLS = 20;
    for (let n = 0; n < CALLS; n += 1) expect(await (await add.delay(n)).get()).toBe(n + 1);
    const ms = performance.now() - since;
    const count = (part: string) => statements.filter((text) => text.includes(part)).length;
    expect(count('umbel_add_jobs(')).toBe(CALLS);
    expect(count('umbel_turn(')).toBeLessThanOrEqual(2.5 * CALLS); // claims and completes
    expect(count('umbel_look(')).toBeLessThanOrEqual(2 * CALLS + ms / 2000); // at the start and at the end; and a check
    expect(count('umbel_signal(')).toBeLessThanOrEqual(2 + ms / 5000); // a worker that was told that no job waits asks no more
    expect(count('FROM umbel_event')).toBeLessThanOrEqual(2 + (2 * ms) / 250);
  });

  test('a turn reads the jobs of its calls, also if its plan was made for an empty queue', async () => {
    const schema = `s${randomUUID().replaceAll('-', '')}`;
    const database = new PostgresDatabase(loadDriver(), server().url, schema, 1);
    const user = {};
    database.retain(user);
    ends.push(() => database.release(user));
    await migrate(database);
    const client = newClient(`${server().url}?options=-c%20search_path%3D${schema}`);
    await client.connect();
    ends.push(() => client.end());
    const turn = async (completed: readonly object[], token: string) => {
      const text = `SELECT job ->> 'id' AS id, code FROM umbel_turn('q', $1::jsonb, $2::integer[], $3::text[], 30000, 1, 'w', NULL, NULL)`;
      const claims = completed.length === 0;
      const { rows } = await client.query(text, [
        JSON.stringify(completed),
        claims ? [0] : [],
        claims ? [token] : [],
      ]);
      return (rows as { id: string; code: number }[])[0];
    };
    const end = (id: string) => ({ call: 0, id, token: 't', value: null, at: 1, isFetching: true });
    for (let n = 0; n < 6; n += 1) {
      await turn([], 't');
      await turn([end('none')], 't');
    }
    const jobs = Array.from({ length: 2000 }, (_, n) => ({ id: `j${n}`, name: 'job', timestamp: 1 }));
    await client.query(`SELECT umbel_add_jobs('q', $1::jsonb)`, [JSON.stringify(jobs)]);
    await client.query('BEGIN');
    const first = await turn([], 't');
    const second = await turn([end(first?.id ?? '')], 't');
    expect([first, second].map((row) => row?.id)).toEqual(['j0', 'j1']);
    const { rows } = await client.query(
      `SELECT pg_stat_get_xact_tuples_returned('job'::regclass) + pg_stat_get_xact_tuples_fetched('job'::regclass) AS read`,
    );
    await client.query('COMMIT');
    expect(Number(rows[0].read)).toBeLessThan(50);
  });
});
