/** The PostgreSQL engine on a server: migrations, connections, events under open transactions, limits of BullMQ's backend. */
import { randomUUID } from 'node:crypto';
import { createApp, StoreConfigurationError } from '@umbel/core';
import type { QueueOptions } from 'bullmq';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { startPostgres } from '../../../../test/support/postgres-server.js';
import { INTERNAL_QUEUE } from '../../src/job/job-tree.js';
import { resolveConnection } from '../../src/store/connection.js';
import { PostgresDatabase } from '../../src/store/engine/postgres/database.js';
import { SCHEMA_VERSION } from '../../src/store/engine/postgres/migration-sql.js';
import { loadDriver } from '../../src/store/engine/postgres/pg-driver.js';
import { migrate, migrationsOf } from '../../src/store/engine/postgres/schema.js';
import { SIGNAL_QUEUE, signalPrimitivesOf } from '../../src/store/primitives/signals.js';

describeOnPostgres('on a PostgreSQL server', ({ programs, server, client, newClient }) => {
  const ends: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const newSchema = () => `s${randomUUID().replaceAll('-', '')}`;
  const urlOf = (schema: string, more = '') => `${server().url}?schema=${schema}${more}`;
  const quiet = { info() {}, warn() {}, error() {} };

  function newApp(url: string, name = `app-${randomUUID()}`) {
    const app = createApp({ name, connection: url, logger: quiet, sendTimeout: '50s' });
    ends.push(() => app.close());
    return app;
  }

  const database = (schema: string) => {
    const opened = new PostgresDatabase(loadDriver(), server().url, schema, 2);
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
      const { rows } = await client().query(`SELECT version FROM ${schema}.umbel_migration`);
      expect(rows).toEqual([{ version: SCHEMA_VERSION }]);
    });

    test.each([
      [1, 'umbel_wait', []],
      [5, 'umbel_history', ['umbel_add_history', 'umbel_read_history', 'umbel_history_text']],
    ])('update a schema of version %i, and keep its jobs', async (version, table, functions) => {
      const schema = newSchema();
      const app = newApp(urlOf(schema), 'older');
      const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
      const sent = await task.delay(7);
      await client().query(`DROP TABLE ${schema}.${table} CASCADE`); // of a later version
      for (const name of functions) await client().query(`DROP FUNCTION ${schema}.${name}`);
      await client().query(`UPDATE ${schema}.umbel_migration SET version = ${version}`);
      await app.close();
      const { state } = migrationsOf(schema, () => database(schema));
      expect(await state()).toBe('old');
      const updated = newApp(urlOf(schema), 'older');
      updated.task({ name: 'task', input: z.number(), run: async (n) => n });
      const signal = updated.signal({ name: 'ready', payload: z.number() });
      expect(await signal.send('a', 1)).toBe('accepted');
      expect(await state()).toBe('current');
      const { rows } = await client().query(`SELECT version FROM ${schema}.umbel_migration ORDER BY version`);
      expect(rows).toEqual([{ version }, { version: SCHEMA_VERSION }]);
      const worker = updated.worker({ heartbeat: false });
      await worker.start();
      expect(await updated.result(sent.id).get()).toBe(7);
      await worker.close();
      expect((await updated.history.read()).total.completed).toBe(1);
    });

    test('of a newer version are refused', async () => {
      const schema = newSchema();
      await migrate(database(schema));
      await client().query(`INSERT INTO ${schema}.umbel_migration (version, bullmq_version) VALUES (99, 1)`);
      const app = newApp(urlOf(schema));
      const task = app.task({ name: 'task', run: async () => null });
      await expect(task.delay()).rejects.toThrow('was migrated by a newer version of Umbel');
      await expect(task.delay()).rejects.toThrow(StoreConfigurationError);
    });

    test('need rights that their user may not have, and say so', async () => {
      const schema = newSchema();
      await client().query('CREATE ROLE guest LOGIN');
      ends.push(() => client().query('DROP ROLE guest'));
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
        await client().query(
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
    const open = newClient(`${server().url}?options=-c%20search_path%3D${schema}`);
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

  test('positions of lists of jobs may count from the end, and may be beyond it', async () => {
    const url = urlOf(newSchema());
    const task = newApp(url, 'ranges').task({ name: 'task', input: z.number(), run: async () => null });
    for (const n of [1, 2, 3, 4]) {
      await task.delay(n);
      await task.applyAsync(n, { countdown: `${n}h` });
    }
    const backend = resolveConnection(url).factory('default', {
      connection: {},
      prefix: 'umbel:{ranges}',
    } as QueueOptions);
    ends.push(() => backend.close());
    for (const type of ['wait', 'delayed'] as const) {
      for (const isAscending of [true, false]) {
        const idsAt = async (start: number, end: number) => {
          const [ids = []] = (await backend.getRanges(
            [type],
            start,
            end,
            isAscending,
          )) as unknown as string[][];
          return type === 'wait' && isAscending ? ids.reverse() : ids; // BullMQ's getters turn such lists round
        };
        const all = await idsAt(0, -1);
        expect(all).toHaveLength(4);
        expect(await idsAt(-3, -1)).toEqual(all.slice(-3));
        expect(await idsAt(0, -2)).toEqual(all.slice(0, -1));
        expect(await idsAt(-100, 1)).toEqual(all.slice(0, 2));
        expect(await idsAt(1, 100)).toEqual(all.slice(1));
        expect(await idsAt(2, 1)).toEqual([]);
        expect(await idsAt(-2, -3)).toEqual([]);
      }
    }
  });

  test('reading events ends when its reader is closed, whatever it does then', async () => {
    const { factory } = resolveConnection(urlOf(newSchema()));
    const options: QueueOptions = { connection: {}, prefix: 'umbel:{closed}' };
    const first = factory('default', options);
    await first.waitUntilReady();
    ends.push(() => first.close());
    for (const turns of [0, 1, 2, 5, 10, 20, 50]) {
      const reader = factory('default', options);
      const reading = reader.readEvents('$', 600_000);
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      await reader.disconnect();
      await reader.close();
      expect(await reading, `${turns} turns`).toBeNull();
    }
  });

  test('a transaction that stays open holds events back for five seconds at most', async () => {
    const app = newApp(urlOf(newSchema()));
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker({ heartbeat: false }).start();
    await client().query('BEGIN');
    await client().query('SELECT pg_current_xact_id()');
    try {
      const events = app.events({ types: ['completed'] });
      expect(await (await task.delay(7)).get()).toBe(7); // which looks at its job
      expect((await events.next()).value).toMatchObject({ type: 'completed' });
      await events.return?.();
    } finally {
      await client().query('ROLLBACK');
    }
  });

  test('a transaction that stays open holds back no question to a worker, and no answer', async () => {
    const app = newApp(urlOf(newSchema()));
    app.task({ name: 'task', run: async () => 1 });
    await app.worker({ name: 'asked' }).start();
    await client().query('BEGIN');
    await client().query('SELECT pg_current_xact_id()');
    try {
      for (let times = 0; times < 3; times += 1)
        expect(Object.keys((await app.inspect.stats({ timeout: '4s' })).answers)).toEqual(['asked']);
    } finally {
      await client().query('ROLLBACK');
    }
    expect(Object.keys((await app.inspect.stats({ timeout: '50s' })).answers)).toEqual(['asked']);
  });

  test('a server that is shut down or killed comes back, and every job is done', {
    timeout: 120_000,
  }, async () => {
    const own = await startPostgres(programs, { settings: { synchronous_commit: 'on', fsync: 'on' } });
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

  describe('signals', () => {
    const started = { id: 'r', signal: 'ready', key: 'k', job: 'j', since: 1, isRestart: false } as const;
    const sent = {
      id: 'r',
      signal: 'ready',
      key: 'k',
      payload: '"p"',
      now: 5,
      keepMs: 60_000,
      endedMs: 60_000,
    };

    /** The commands of the queue of signals, and a job of the internal queue that waits. */
    async function open() {
      const url = urlOf(newSchema());
      const options: QueueOptions = { connection: {}, prefix: 'umbel:{waits}' };
      const { factory } = resolveConnection(url);
      const [backend, jobs] = [factory(SIGNAL_QUEUE, options), factory(INTERNAL_QUEUE, options)];
      ends.push(
        () => jobs.close(),
        () => backend.close(),
      );
      await Promise.all([backend.waitUntilReady(), jobs.waitUntilReady()]);
      const table = `${new URL(url).searchParams.get('schema')}.umbel_wait`;
      const job = `${new URL(url).searchParams.get('schema')}.job`;
      await client().query(
        `INSERT INTO ${job} (queue, id, seq, name, state, added_at_ms)
          SELECT 'umbel:{waits}:${INTERNAL_QUEUE}', id, 1, 'wait', 'delayed', 1 FROM unnest('{j,other}'::text[]) AS id`,
      );
      const commands = signalPrimitivesOf(backend);
      if (commands === undefined) throw new Error('no commands for signals');
      return { commands, table, job };
    }

    test('that are sent at once have one winner, and a timeout at the same time too', async () => {
      const { commands } = await open();
      for (let round = 0; round < 20; round += 1) {
        const id = `r${round}`;
        await commands.startWait({ ...started, id });
        const tokens = ['a', 'b', 'c', 'd'];
        const [ended, ...answers] = await Promise.all([
          commands.endWait(id, 'j', 'timeout', 60_000),
          ...tokens.map((token) => commands.sendSignal({ ...sent, id, token })),
        ]);
        const accepted = answers.filter(({ answer }) => answer === 'accepted').length;
        expect(accepted).toBe(ended.kind === 'signalled' ? 1 : 0);
      }
    });

    test('that wait for nobody are taken once, by the job that starts first', async () => {
      const { commands } = await open();
      expect(await commands.sendSignal({ ...sent, token: 'a' })).toEqual({ answer: 'accepted' });
      const states = await Promise.all(['j', 'other'].map((job) => commands.startWait({ ...started, job })));
      expect(states.map(({ kind }) => kind).sort()).toEqual(['other', 'signalled']);
      expect(await commands.sendSignal({ ...sent, token: 'b' })).toMatchObject({ answer: 'duplicate' });
    });

    test('that expire are forgotten, and a check removes their records', async () => {
      const { commands, table } = await open();
      await commands.sendSignal({ ...sent, id: 'short', token: 'a', keepMs: 0 });
      expect(await commands.sendSignal({ ...sent, id: 'short', token: 'b', keepMs: 0 })).toEqual({
        answer: 'accepted',
      });
      await commands.checkWaits(undefined, 10, 1000);
      expect((await client().query(`SELECT id FROM ${table}`)).rows).toEqual([]);
    });

    test('are checked in pages: waits without a job end, and signalled jobs are started', async () => {
      const { commands, job } = await open();
      for (const id of ['a', 'b', 'c']) await commands.startWait({ ...started, id });
      await commands.startWait({ ...started, id: 'd', job: 'other' });
      await commands.sendSignal({ ...sent, id: 'c', token: 'x' });
      await client().query(`DELETE FROM ${job} WHERE id = 'other'`);
      const first = await commands.checkWaits(undefined, 2, 1000);
      expect(first).toMatchObject({ checked: 2, ended: 0, unstarted: [] });
      expect(await commands.checkWaits(first.next, 10, 1000)).toEqual({
        checked: 2,
        ended: 1,
        unstarted: ['j'],
      });
      expect((await commands.listWaits('ready', undefined, 10)).waits.map(({ id }) => id)).toEqual([
        'a',
        'b',
        'c',
      ]);
      expect(await commands.sendSignal({ ...sent, id: 'd', token: 'y' })).toEqual({ answer: 'tooLate' });
    });
  });

  test('connections that are cut are opened again', { timeout: 120_000 }, async () => {
    const app = newApp(urlOf(newSchema()));
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker({ heartbeat: false }).start();
    for (let n = 0; n < 3; n += 1) {
      const sent = await task.delay(n);
      await client().query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'umbel%'`,
      );
      expect(await sent.get({ timeout: '60s' })).toBe(n);
    }
  });
});
