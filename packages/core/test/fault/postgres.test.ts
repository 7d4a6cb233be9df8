/** Faults of a PostgreSQL server: a command waits for their end, or fails with words, and no job is lost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type Duration } from '@umbel/core';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { startPostgres } from '../../../../test/support/postgres-server.js';
import { endProcess, freePort } from '../../../../test/support/redis-server.js';
import { loadDriver, type PgClient } from '../../src/store/engine/postgres/pg-driver.js';

const soon = { timeout: '60s' } as const;
const PGBOUNCER = '/usr/sbin/pgbouncer';

describeOnPostgres(
  'while PostgreSQL',
  ({ programs, server, client, newClient }) => {
    const ends: (() => unknown)[] = [];
    const errors: string[] = [];

    afterEach(async () => {
      for (const end of ends.splice(0).reverse()) await end();
      errors.length = 0;
    });

    function newApp(
      url = `${server().url}?schema=s${randomUUID().replaceAll('-', '')}`,
      sendTimeout: Duration = '50s',
    ) {
      const logger = { info() {}, warn() {}, error: (text: string) => void errors.push(text) };
      const app = createApp({ name: 'faults', connection: url, logger, sendTimeout });
      ends.push(() => app.close());
      return { app, schema: new URL(url).searchParams.get('schema') ?? 'umbel' };
    }

    /** An app whose worker runs. */
    async function working(url?: string) {
      const { app, schema } = newApp(url);
      const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
      await app.worker({ heartbeat: false }).start();
      expect(await (await task.delay(0)).get(soon)).toBe(0);
      return { app, task, schema };
    }

    const open = async (url = server().url): Promise<PgClient> => {
      const opened = newClient(url);
      await opened.connect();
      ends.push(() => opened.end().catch(() => {}));
      return opened;
    };
    const told = (words: string | RegExp) =>
      vi.waitFor(() => expect(errors.join('\n')).toMatch(words), { timeout: 50_000 });

    test('has no connection left: a sender waits, or fails with advice', async () => {
      const own = await startPostgres(programs, {
        settings: {
          max_connections: '8',
          superuser_reserved_connections: '0',
          autovacuum: 'off',
          max_wal_senders: '0',
        },
      });
      ends.push(() => own.stop());
      const holders: PgClient[] = [];
      const { app } = newApp(own.url);
      const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
      await (await open(own.url)).query('SELECT 1');
      try {
        for (;;) holders.push(await open(own.url));
      } catch (error) {
        expect(error).toMatchObject({ code: '53300' });
      }
      const impatient = newApp(own.url, '1s').app.task({
        name: 'task',
        input: z.number(),
        run: async (n) => n,
      });
      await expect(impatient.delay(1)).rejects.toThrow('raise max_connections, or lower `pool`');
      const sending = task.delay(2);
      await Promise.all(holders.slice(0, 5).map((holder) => holder.end()));
      await app.worker({ heartbeat: false }).start();
      expect(await (await sending).get(soon)).toBe(2);
    });

    test.each([
      ['its disk is full', '53100', 'free space'],
      ['it only reads, after a failover', '25006', 'should lead to the primary'],
    ])('refuses writes because %s: commands wait for its end', async (_, code, advice) => {
      const { app, task, schema } = await working();
      // As the server refuses each statement that writes a job.
      await client().query(`CREATE FUNCTION ${schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '${code}'; END $$`);
      await client().query(`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ${schema}.job
        FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.refuse()`);
      await expect(task.applyAsync(1, { sendTimeout: '300ms' })).rejects.toThrow(advice);
      const sending = task.delay(2);
      const many = task.sendMany([3, 4]);
      await client().query(`DROP TRIGGER refuse ON ${schema}.job`);
      const results = [await sending, ...(await many)];
      expect(await Promise.all(results.map((result) => result.get(soon)))).toEqual([2, 3, 4]);
      expect((await app.jobs.list({ state: 'failed' })).items).toEqual([]);
    });

    test('is away when a program starts: its worker and its calls begin when it is there', async () => {
      const own = await startPostgres(programs);
      ends.push(() => own.stop());
      await own.shutDown();
      const { app } = newApp(own.url);
      const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
      const starting = app.worker({ heartbeat: false }).start();
      await expect(task.applyAsync(1, { sendTimeout: '300ms' })).rejects.toThrow('did not answer within');
      const sending = task.delay(2);
      await own.start();
      await starting;
      expect(await (await sending).get(soon)).toBe(2);
      expect(await (await task.delay(3)).get(soon)).toBe(3);
    });

    test('is read-only for new sessions: workers go on when it writes again', async () => {
      const { task } = await working();
      const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'umbel%'`;
      await client().query('ALTER DATABASE postgres SET default_transaction_read_only = on');
      await client().query(cut);
      try {
        await expect(task.applyAsync(1, { sendTimeout: '1s' })).rejects.toThrow('The server only reads');
      } finally {
        await client().query('SET default_transaction_read_only = off');
        await client().query('ALTER DATABASE postgres RESET default_transaction_read_only');
        await client().query(cut);
      }
      expect(await (await task.delay(2)).get(soon)).toBe(2);
    });

    test.each(['statement_timeout', 'lock_timeout'])(
      'ends statements by %s: they are repeated',
      async (setting) => {
        const schema = `s${randomUUID().replaceAll('-', '')}`;
        const { task } = await working(`${server().url}?schema=${schema}&options=-c%20${setting}%3D300`);
        const locking = await open();
        await locking.query('BEGIN');
        await locking.query(`LOCK TABLE ${schema}.job IN ACCESS EXCLUSIVE MODE`);
        await expect(task.applyAsync(1, { sendTimeout: '1s' })).rejects.toThrow(/canceling statement due to/);
        const sending = task.delay(2);
        await told(/canceling statement due to/); // a worker, too
        await locking.query('COMMIT');
        expect(await (await sending).get(soon)).toBe(2);
      },
    );

    test('has a transaction that stays open: events wait for a time, and a reader says for what', async () => {
      const { app, task } = await working();
      const other = await open();
      await other.query(`SET application_name = 'report'`);
      await other.query('BEGIN');
      await other.query('SELECT pg_current_xact_id()');
      const events = app.events({ types: ['completed'] });
      const next = events.next();
      await task.delay(1);
      expect((await next).value).toMatchObject({ type: 'completed' });
      await told(/events are read late.*"report"/);
      await other.query('COMMIT');
      await events.return?.();
    });

    describe.runIf(existsSync(PGBOUNCER))('is behind PgBouncer', () => {
      /** Starts a pooler before the server; returns the URL of its database. */
      async function pooled(mode: string): Promise<string> {
        const folder = mkdtempSync(join(tmpdir(), 'umbel-pgbouncer-'));
        const [port, target] = [await freePort(), new URL(server().url)];
        const file = join(folder, 'pgbouncer.ini');
        writeFileSync(
          file,
          `[databases]\npostgres = host=127.0.0.1 port=${target.port} user=umbel\n[pgbouncer]\nlisten_addr = 127.0.0.1\n` +
            `listen_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = ${mode}\ndefault_pool_size = 20\n`,
        );
        const isRoot = process.getuid?.() === 0;
        if (isRoot) for (const path of [folder, file]) chownSync(path, 65_534, 65_534);
        const user = isRoot ? { uid: 65_534, gid: 65_534 } : {};
        const pooler: ChildProcess = spawn(PGBOUNCER, [file], { ...user, stdio: 'ignore', cwd: folder });
        ends.push(async () => {
          await endProcess(pooler, 'SIGKILL');
          rmSync(folder, { recursive: true, force: true });
        });
        const url = `postgres://umbel@127.0.0.1:${port}/postgres`;
        await vi.waitFor(
          async () => {
            const probe = new (loadDriver().Client)({ connectionString: url });
            probe.on('error', () => {});
            await probe.connect();
            await probe.end();
          },
          { timeout: 20_000 },
        );
        return `${url}?schema=s${randomUUID().replaceAll('-', '')}`;
      }

      test('that keeps sessions: everything works', async () => {
        const { app, task } = await working(await pooled('session'));
        const sent = await task.sendMany([1, 2, 3]);
        expect(await Promise.all(sent.map((result) => result.get(soon)))).toEqual([1, 2, 3]);
        await app.close();
      });

      test('that does not: the first command is refused, with what to do', async () => {
        const { app } = newApp(await pooled('transaction'));
        const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
        await expect(task.delay(1)).rejects.toThrow('`pool_mode = session`');
      });
    });

    if (!existsSync(PGBOUNCER))
      console.warn('The tests of PgBouncer are skipped: install it (Debian: apt-get install pgbouncer).');
  },
  { timeout: 120_000 },
);
