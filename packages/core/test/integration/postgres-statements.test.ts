/** How many statements calls take on a PostgreSQL server, and how many rows these read. */
import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { chain } from '@umbel/canvas';
import { createApp, type PostgresPool, postgres } from '@umbel/core';
import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { PostgresDatabase } from '../../src/store/engine/postgres/database.js';
import { loadDriver } from '../../src/store/engine/postgres/pg-driver.js';
import { migrate } from '../../src/store/engine/postgres/schema.js';

describeOnPostgres('statements on a PostgreSQL server', ({ server, client, newClient }) => {
  const ends: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  /** A database that is open until the test has ended. */
  function openDatabase(schema: string): PostgresDatabase {
    const database = new PostgresDatabase(loadDriver(), server().url, schema, 1);
    const user = {};
    database.retain(user);
    ends.push(() => database.release(user));
    return database;
  }

  /** A database with the tables and functions of a store, in a schema of its own. */
  async function migrated(): Promise<PostgresDatabase> {
    const database = openDatabase(`s${randomUUID().replaceAll('-', '')}`);
    await migrate(database);
    return database;
  }

  /** A pool that collects the statements that it runs, and those during which nobody listens for errors of the client. */
  function countingPool(): { pool: PostgresPool; statements: string[]; unguarded: string[] } {
    const statements: string[] = [];
    const unguarded: string[] = [];
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
        if ((client as unknown as EventEmitter).listenerCount('error') === 0) unguarded.push(text);
        return query(text, ...rest);
      };
      return client;
    };
    return { pool: { connect }, statements, unguarded };
  }

  test('a call and its result take five, and events are read only now and then', async () => {
    const { pool, statements, unguarded } = countingPool();
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
    expect(count('umbel_look(')).toBeLessThanOrEqual(2 * CALLS + 1 + ms / 2000); // at the start and at the end; and a check
    expect(count('umbel_signal(')).toBeLessThanOrEqual(2 + ms / 5000); // a worker that was told that no job waits asks no more
    expect(count('FROM umbel_event')).toBeLessThanOrEqual(2 + (2 * ms) / 250);
    expect(unguarded).toEqual([]); // an error of a client without a listener would end the process
  });

  test('a connection parses the statements of each job once', async () => {
    const parsed = vi.spyOn(loadDriver().Client.prototype, 'query');
    ends.push(async () => parsed.mockRestore());
    const schema = `s${randomUUID().replaceAll('-', '')}`;
    const logger = { info() {}, warn() {}, error() {} };
    const app = createApp({ name: 'prepared', connection: `${server().url}?schema=${schema}`, logger });
    ends.push(() => app.close());
    const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
    await app.worker().start();
    for (let n = 0; n < 3; n += 1) expect(await (await chain(add, add).delay(n)).get()).toBe(n + 2);
    expect(await (await add.delay(1)).get()).toBe(2);
    const statements = parsed.mock.calls.map(([statement]): unknown => statement);
    const texts = new Map<string, Set<string>>();
    for (const statement of statements) {
      const { name = '', text = String(statement) } = statement as { name?: string; text?: string };
      if (/umbel_(turn|look|add_jobs|add_flow)\(\$1/.test(text))
        texts.set(name, (texts.get(name) ?? new Set()).add(text));
    }
    expect([...texts.keys()].sort()).toEqual([
      'umbel_add_flow',
      'umbel_add_jobs',
      'umbel_look',
      'umbel_turn',
    ]);
    for (const [, each] of texts) expect(each.size).toBe(1); // the driver refuses a second text with the name
  });

  test('a turn reads the jobs of its calls, also if its plan was made for an empty queue', async () => {
    const { schema } = await migrated();
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

  /** A schema with active jobs of queue `q`, locked until the time 1001, and two connections to it; a statement that waits for a lock is an error. */
  async function activeJobs(...ids: string[]) {
    const { schema } = await migrated();
    const settings = encodeURIComponent(`-c search_path=${schema} -c lock_timeout=100`);
    const open = async () => {
      const client = newClient(`${server().url}?options=${settings}`);
      await client.connect();
      ends.push(() => client.end());
      return client;
    };
    const [worker, other] = [await open(), await open()];
    const jobs = ids.map((id) => ({ id, name: 'job', timestamp: 1 }));
    await worker.query(`SELECT umbel_add_jobs('q', $1::jsonb)`, [JSON.stringify(jobs)]);
    const claim = `SELECT umbel_turn('q', '[]', $1, $2, 1000, 1, 'w', NULL, NULL)`;
    await worker.query(claim, [ids.map((_, index) => index), ids.map((id) => `token of ${id}`)]);
    await worker.query('UPDATE job SET locked_until_ms = 1001');
    const lock = (id: string) =>
      other.query(`BEGIN; SELECT 1 FROM job WHERE queue = 'q' AND id = '${id}' FOR UPDATE`);
    return { worker, other, lock };
  }

  test('a sweep recovers jobs whose lock has expired, and waits for no job that a commit has locked', async () => {
    const { worker, other, lock } = await activeJobs('a', 'b');
    const sweep = async (now: number) => {
      const { rows } = await worker.query(`SELECT id FROM umbel_recover_stalled('q', 5, $1, 10) AS t(id)`, [
        now,
      ]);
      return rows.map(({ id }) => id);
    };
    expect(await sweep(2000)).toEqual([]); // marks them
    await lock('a');
    expect(await sweep(2005)).toEqual([]); // too early
    expect(await sweep(3000)).toEqual(['b']);
    await other.query('COMMIT');
    expect(await sweep(4000)).toEqual(['a']);
    const { rows } = await worker.query('SELECT id, state, stalled_count, lock_token FROM job ORDER BY id');
    const waiting = { state: 'waiting', stalled_count: 1, lock_token: null };
    expect(rows).toEqual([
      { id: 'a', ...waiting },
      { id: 'b', ...waiting },
    ]);
  });

  test('a sweep leaves a job whose lock was renewed since the last one, and does nothing if it had to wait', async () => {
    const { worker, other } = await activeJobs('a', 'b');
    const sweep = (now: number) =>
      worker.query(`SELECT id FROM umbel_recover_stalled('q', 5, ${now}, 10) AS t(id)`);
    await sweep(2000);
    await worker.query(`SELECT extend_lock('q', 'a', 'token of a', 1000, 2001)`);
    await worker.query(`SELECT umbel_extend_locks('q', '{b}', '{token of b}', 1000, 2001)`);
    expect((await sweep(5000)).rows).toEqual([]); // marks them again
    await worker.query('SET lock_timeout = 0');
    await other.query('BEGIN');
    await other.query('LOCK TABLE job IN SHARE MODE');
    const late = sweep(6000);
    await vi.waitFor(async () => {
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%5, 6000,%'
        AND clock_timestamp() - query_start > interval '1.1 s'`;
      expect((await client().query(waiting)).rows).toHaveLength(1);
    });
    await other.query('COMMIT');
    expect((await late).rows).toEqual([]);
    expect((await sweep(6000)).rows).toEqual([{ id: 'a' }, { id: 'b' }]);
  });

  test('a renewal of locks skips a job that a commit has locked, and names it and those that are lost', async () => {
    const { worker, other, lock } = await activeJobs('a', 'b', 'c');
    await lock('b');
    const ids = ['a', 'b', 'c', 'missing'];
    const tokens = ['token of a', 'token of b', 'token of somebody else', 'token'];
    const renew = `SELECT id FROM umbel_extend_locks('q', $1, $2, 1000, 5000) AS t(id)`;
    const { rows } = await worker.query(renew, [ids, tokens]);
    expect(rows.map(({ id }) => id)).toEqual(['b', 'c', 'missing']);
    await other.query('COMMIT');
    const { rows: jobs } = await worker.query('SELECT id, locked_until_ms FROM job ORDER BY id');
    const locked = Object.fromEntries(jobs.map(({ id, locked_until_ms }) => [id, Number(locked_until_ms)]));
    expect(locked).toEqual({ a: 6000, b: 1001, c: 1001 });
  });

  test('a turn waits for no delayed job that another transaction has locked', async () => {
    const { worker, other, lock } = await activeJobs('a');
    const jobs = ['due', 'locked'].map((id) => ({ id, name: 'job', timestamp: 1, delay: 10 }));
    await worker.query(`SELECT umbel_add_jobs('q', $1::jsonb)`, [JSON.stringify(jobs)]);
    await lock('locked');
    const { rows } = await worker.query(
      `SELECT job ->> 'id' AS id, due_at::int AS due FROM umbel_turn('q', '[]', '{0,1}', '{t,u}', 1000, 100, 'w', NULL, NULL)`,
    );
    await other.query('COMMIT');
    // The worker asks again for the other one at once: its time has come.
    expect(rows).toEqual([
      { id: 'due', due: null },
      { id: null, due: 11 },
    ]);
  });

  test('jobs that have not ended are removed in their order: one that waits for another never starts', async () => {
    const database = await migrated();
    const entry = (id: string, parentId?: string) => ({
      queue: 'q',
      id,
      name: 'job',
      timestamp: 1,
      ...(parentId !== undefined && { parentQueue: 'q', parentId, parentKey: `q:${parentId}` }),
    });
    const top = { ...entry('top'), addToWaitingChildren: true };
    const jobs = [top, entry('below', 'top'), entry('running'), entry('locked')];
    await database.query('SELECT umbel_add_flow($1::jsonb)', [JSON.stringify(jobs)]);
    await database.query(`UPDATE job SET state = 'active' WHERE id = 'running'`);
    await client().query('BEGIN');
    await client().query(`SELECT 1 FROM ${database.schema}.job WHERE id = 'locked' FOR UPDATE`);
    const ids = ['top', 'below', 'running', 'locked', 'missing'];
    await database.query('SELECT umbel_remove_unended($1, $2)', [ids.map(() => 'q'), ids]);
    await client().query('ROLLBACK');
    const { rows } = await database.query('SELECT id FROM job ORDER BY seq');
    expect(rows).toEqual([{ id: 'running' }, { id: 'locked' }]);
    const { rows: events } = await database.query(
      `SELECT event, data ->> 'jobId' AS job FROM umbel_event WHERE event IN ('removed', 'waiting') ORDER BY horizon, id`,
    );
    expect(events.map(({ event, job }) => `${event} ${job}`)).toEqual([
      ...['waiting below', 'waiting running', 'waiting locked'],
      ...['removed top', 'removed below'],
    ]);
  });

  test('a database that is closed runs the statements that wait for a connection', async () => {
    const database = openDatabase('umbel');
    let waiting: Promise<unknown> | undefined;
    let closed: Promise<unknown> | undefined;
    await database.session(async ({ query }) => {
      waiting = database.query('SELECT 1 AS one');
      closed = ends.pop()?.();
      await query('SELECT 1');
    });
    expect(await waiting).toMatchObject({ rows: [{ one: 1 }] });
    await closed;
  });

  test('a connection that breaks between two statements fails the next one, and does not end the process', async () => {
    const database = openDatabase('umbel');
    await database.session(async ({ query }) => {
      const { rows } = await query('SELECT pg_backend_pid() AS pid');
      await client().query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
      await vi.waitFor(() => expect(query('SELECT 1')).rejects.toThrow());
    });
    // Until its socket is closed, the pool may lend the connection once more.
    await vi.waitFor(async () =>
      expect((await database.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]),
    );
  });

  test('a job that is added after a claim was sent starts when it is added', async () => {
    const database = await migrated();
    const sentAt = Date.now() - 1000;
    const jobs = [sentAt + 500, sentAt + 600_000].map((timestamp, n) => ({
      id: `j${n}`,
      name: 'job',
      timestamp,
    }));
    await database.query(`SELECT umbel_add_jobs('q', $1::jsonb)`, [JSON.stringify(jobs)]);
    await database.query(
      `SELECT * FROM umbel_turn('q', '[]', '{0,1}', '{t,u}', 30000, $1, 'w', NULL, NULL)`,
      [sentAt],
    );
    const { rows } = await database.query(
      'SELECT processed_at_ms AS at, locked_until_ms AS until FROM job ORDER BY seq',
    );
    const [first, ahead] = rows.map(({ at }) => Number(at));
    expect(first).toBe(sentAt + 500);
    for (const { until } of rows) expect(Number(until)).toBeGreaterThanOrEqual(sentAt + 31_000); // from its claim on
    expect(ahead).toBeGreaterThan(sentAt + 500);
    expect(ahead).toBeLessThan(sentAt + 600_000); // of a sender whose clock is ahead
  });
});
