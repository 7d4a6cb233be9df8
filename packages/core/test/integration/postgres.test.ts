/** The PostgreSQL engine on a server: migrations, connections, events under open transactions, limits of BullMQ's backend. */
import { randomUUID } from 'node:crypto';
import { createApp, StoreConfigurationError } from '@umbel/core';
import type { QueueOptions } from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import {
  findPostgres,
  type PostgresServer,
  startPostgres,
} from '../../../../test/support/postgres-server.js';
import { resolveConnection } from '../../src/store/connection.js';
import { PostgresDatabase } from '../../src/store/engine/postgres/database.js';
import { loadDriver, type PgClient } from '../../src/store/engine/postgres/pg-driver.js';
import { migrate } from '../../src/store/engine/postgres/schema.js';

const programs = findPostgres();
if (programs === undefined)
  console.warn('The tests of PostgreSQL are skipped: install it (Debian: apt-get install postgresql).');

describe.runIf(programs !== undefined)('on a PostgreSQL server', () => {
  let server: PostgresServer;
  let client: PgClient;
  const newClient = (url: string): PgClient => new (loadDriver().Client)({ connectionString: url });
  const ends: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await startPostgres(programs ?? '');
    client = newClient(server.url);
    await client.connect();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  const newSchema = () => `s${randomUUID().replaceAll('-', '')}`;
  const urlOf = (schema: string, more = '') => `${server.url}?schema=${schema}${more}`;
  const quiet = { info() {}, warn() {}, error() {} };

  function newApp(url: string, name = `app-${randomUUID()}`) {
    const app = createApp({ name, connection: url, logger: quiet, sendTimeout: '50s' });
    ends.push(() => app.close());
    return app;
  }

  const database = (schema: string) => {
    const opened = new PostgresDatabase(loadDriver(), server.url, schema, 2);
    const user = {};
    opened.retain(user);
    ends.push(() => opened.release(user));
    return opened;
  };

  describe('migrations', () => {
    test('run twice, and by many processes at once', async () => {
      const schema = newSchema();
      await Promise.all([1, 2, 3, 4].map(() => migrate(database(schema))));
      await migrate(database(schema));
      const { rows } = await client.query(`SELECT version FROM ${schema}.umbel_migration`);
      expect(rows).toEqual([{ version: 1 }]);
    });

    test('of a newer version are refused', async () => {
      const schema = newSchema();
      await migrate(database(schema));
      await client.query(`INSERT INTO ${schema}.umbel_migration (version, bullmq_version) VALUES (99, 1)`);
      const app = newApp(urlOf(schema));
      const task = app.task({ name: 'task', run: async () => null });
      await expect(task.delay()).rejects.toThrow('was migrated by a newer version of Umbel');
      await expect(task.delay()).rejects.toThrow(StoreConfigurationError);
    });

    test('need rights that their user may not have, and say so', async () => {
      const schema = newSchema();
      await client.query('CREATE ROLE guest LOGIN');
      ends.push(() => client.query('DROP ROLE guest'));
      const app = newApp(urlOf(schema).replace('umbel@', 'guest@'));
      const task = app.task({ name: 'task', run: async () => null });
      await expect(task.delay()).rejects.toThrow('umbel migrate');
    });
  });

  test('apps of a process share a pool, and one connection that listens', async () => {
    const url = urlOf(newSchema(), '&pool=3');
    const apps = [newApp(url), newApp(url)];
    for (const app of apps) {
      const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
      await app.worker({ heartbeat: false }).start();
      const sent = await Promise.all(Array.from({ length: 20 }, (_, n) => add.delay(n)));
      expect(await Promise.all(sent.map((result) => result.get()))).toEqual(sent.map((_, n) => n + 1));
    }
    const count = async () =>
      (
        await client.query(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name LIKE 'umbel%'`,
        )
      ).rows[0].n;
    expect(await count()).toBeLessThanOrEqual(4);
    await Promise.all(apps.map((app) => app.close()));
    await vi.waitFor(async () => expect(await count()).toBe(0));
  });

  test('an event of a transaction that commits late is read, in its place', async () => {
    const url = urlOf(newSchema());
    const app = newApp(url, 'late');
    const options: QueueOptions = { connection: {}, prefix: 'umbel:{late}' };
    const task = app.task({ name: 'task', input: z.number(), run: async () => null });
    await task.delay(1);
    const backend = resolveConnection(url).factory('default', options);
    ends.push(() => backend.close());
    const schema = new URL(url).searchParams.get('schema');
    const open = newClient(`${server.url}?options=-c%20search_path%3D${schema}`);
    await open.connect();
    ends.push(() => open.end());
    await open.query('BEGIN');
    await open.query(`SELECT umbel_publish('umbel:{late}:default', 'first', '{}', NULL)`);
    await task.delay(2);
    const names = async () => {
      const [stream] = (await backend.readEvents('0-0', 1)) ?? [];
      return (stream?.[1] ?? []).map(([, fields]) => fields[1]);
    };
    expect(await names()).toEqual(['added', 'waiting']); // what comes later waits for the open transaction
    await open.query('COMMIT');
    await vi.waitFor(async () =>
      expect(await names()).toEqual(['added', 'waiting', 'first', 'added', 'waiting']),
    );
  });

  test('a transaction that stays open holds events back for five seconds at most', async () => {
    const app = newApp(urlOf(newSchema()));
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker({ heartbeat: false }).start();
    await client.query('BEGIN');
    await client.query('SELECT pg_current_xact_id()');
    try {
      const events = app.events({ types: ['completed'] });
      expect(await (await task.delay(7)).get()).toBe(7); // which looks at its job
      expect((await events.next()).value).toMatchObject({ type: 'completed' });
      await events.return?.();
    } finally {
      await client.query('ROLLBACK');
    }
  });

  test('a server that is shut down or killed comes back, and every job is done', {
    timeout: 120_000,
  }, async () => {
    const own = await startPostgres(programs ?? '', { settings: { synchronous_commit: 'on', fsync: 'on' } });
    ends.push(() => own.stop());
    const app = newApp(own.url);
    const done = new Set<number>();
    const task = app.task({
      name: 'task',
      input: z.number(),
      run: async (n) => {
        done.add(n);
        return n;
      },
    });
    await app.worker({ heartbeat: false, concurrency: 5 }).start();
    const first = await Promise.all(Array.from({ length: 40 }, (_, n) => task.delay(n)));
    await own.shutDown();
    await own.start();
    const second = await Promise.all(Array.from({ length: 40 }, (_, n) => task.delay(40 + n)));
    await own.kill();
    await own.start();
    const all = await Promise.all([...first, ...second].map((result) => result.get({ timeout: '60s' })));
    expect(all).toEqual(Array.from({ length: 80 }, (_, n) => n));
    expect(done.size).toBe(80);
  });

  test('connections that are cut are opened again', { timeout: 120_000 }, async () => {
    const app = newApp(urlOf(newSchema()));
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker({ heartbeat: false }).start();
    for (let n = 0; n < 3; n += 1) {
      const sent = await task.delay(n);
      await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'umbel%'`,
      );
      expect(await sent.get({ timeout: '60s' })).toBe(n);
    }
  });
});
