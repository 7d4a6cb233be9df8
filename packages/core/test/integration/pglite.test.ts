/** The PGlite engine: folders, several processes, databases of the user, turns of the event loop. */
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import { chord, group } from '@umbel/canvas';
import { type Connection, createApp, InvalidOptionError, pglite } from '@umbel/core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { resolveConnection } from '../../src/store/connection.js';

const quiet = { info() {}, warn() {}, error() {} };
const ends: (() => Promise<unknown>)[] = [];
let root: string;
/** Of the user. */
let db: PGlite;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'umbel-pglite-'));
  // The folder that the others are copies of, created by an app: a new one takes seconds.
  const app = createApp({ name: 'first', connection: `pglite:${root}/new/data`, logger: quiet });
  await app.task({ name: 'task', run: async () => null }).delay();
  await app.close();
  db = await PGlite.create(newFolder());
}, 300_000);

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(async () => {
  await db?.close();
  rmSync(root, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = join(root, randomUUID());
  cpSync(join(root, 'new/data'), folder, { recursive: true });
  return folder;
}

function newApp(connection: Connection, name = `app-${randomUUID()}`) {
  const app = createApp({ name, connection, logger: quiet, sendTimeout: '50s' });
  ends.push(() => app.close());
  return app;
}

/** An app with a task that adds one. */
function adding(connection: Connection, name?: string) {
  const app = newApp(connection, name);
  const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
  return { app, add, work: () => app.worker({ heartbeat: false, concurrency: 10 }).start() };
}

/** The files of a folder that are Umbel's. */
const ownFiles = (folder: string) => readdirSync(folder).filter((file) => file.startsWith('umbel'));

describe('a folder', () => {
  test('keeps jobs while no app uses it, and is let go then', async () => {
    const folder = newFolder();
    const first = adding(`pglite:${folder}`, 'kept');
    const sent = await first.add.delay(1);
    expect(ownFiles(folder)).toEqual([expect.stringMatching(new RegExp(`^umbel-lock\\.${process.pid}\\.`))]);
    await first.app.close();
    expect(ownFiles(folder)).toEqual([]);
    const second = adding(`pglite:${folder}`, 'kept');
    await second.work();
    expect(await second.app.result(sent.id).get()).toBe(2);
  });

  test('is one store for all apps of the process, however it is spelt', async () => {
    const folder = newFolder();
    const link = join(root, 'link');
    symlinkSync(folder, link);
    const sender = adding(`pglite:${folder}`, 'shared');
    const sent = await sender.add.delay(1);
    const worker = adding(`pglite:${link}/../link/`, 'shared');
    await worker.work();
    expect(await sent.get()).toBe(2);
    expect(sender.app.describe().store).toEqual({
      kind: 'pglite',
      address: `pglite:${folder}`,
      isInMemory: false,
    });
  });
});

/** A program that works on a folder until it is killed, and prints a line for each job. */
const WORKER = `
  import { createApp } from '@umbel/core';
  import { z } from 'zod';
  const app = createApp({ name: 'killed', connection: process.argv[1] });
  const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
  await app.worker({ heartbeat: false }).start();
  for (let n = 0; ; n += 1) {
    const sent = await add.delay(n);
    console.log(sent.id);
  }
`;

describe('another process', () => {
  test('is refused by its number while one has the folder, and finds all jobs after that was killed', {
    timeout: 120_000,
  }, async () => {
    const folder = newFolder();
    const child = spawn(process.execPath, ['--input-type=module', '-e', WORKER, `pglite:${folder}`], {
      cwd: inject('quickFolder'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    ends.push(async () => child.kill('SIGKILL'));
    const ids: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      ids.push(line);
      if (ids.length === 20) {
        const early = newApp(`pglite:${folder}`, 'killed');
        const refused = expect(early.task({ name: 'other', run: async () => 0 }).delay()).rejects;
        await refused.toThrow(
          `The folder "${folder}" is in use by process ${child.pid}: a PGlite database takes one process at a time.`,
        );
        child.kill('SIGKILL');
      }
    }
    const app = newApp(`pglite:${folder}`, 'killed');
    app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
    await app.worker({ heartbeat: false }).start();
    const results = await Promise.all(ids.map((id) => app.result(id).get({ timeout: '100s' })));
    expect(results).toEqual(ids.map((_, n) => n + 1));
  });

  test('ends by itself once its app is closed, and leaves no lock', async () => {
    const folder = newFolder();
    const program = `
      import { createApp } from '@umbel/core';
      for (const connection of process.argv.slice(1)) {
        const app = createApp({ name: 'ends', connection });
        const task = app.task({ name: 'task', run: async () => 'done' });
        await app.worker().start();
        console.log(await (await task.delay()).get());
        await app.close();
      }
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', program, `pglite:${folder}`],
      { cwd: inject('quickFolder') },
    );
    expect(stdout).toBe('done\n');
    expect(ownFiles(folder)).toEqual([]);
  });
});

describe('a database of the user', () => {
  test('keeps its settings, tables and transactions, and stays open', async () => {
    await db.exec('CREATE TABLE IF NOT EXISTS job (id int); SET search_path TO public');
    const { app, add, work } = adding(pglite({ db }));
    await work();
    const calls = [1, 2].map((n) => add.delay(n));
    await db.transaction(async (transaction) => {
      calls.push(add.delay(3)); // waits for the end of the transaction
      await transaction.query('INSERT INTO job VALUES ($1)', [7]);
      await transaction.rollback();
    });
    const sent = await Promise.all(calls);
    expect(await Promise.all(sent.map((result) => result.get()))).toEqual([2, 3, 4]);
    expect((await db.query('SELECT * FROM job')).rows).toEqual([]);
    expect((await db.query('SHOW search_path')).rows).toEqual([{ search_path: 'public' }]);
    await app.close();
    expect(db.closed).toBe(false);
  });

  test('takes calls and workflows in its transactions', async () => {
    await db.exec('CREATE TABLE IF NOT EXISTS orders (id int)');
    const { app, add, work } = adding(pglite({ db, schema: 'sent' }));
    await expect(db.transaction((transaction) => app.in(transaction).send(add, 1))).rejects.toThrow(
      'has not connected',
    );
    await work();
    await (await add.delay(0)).get();
    const [one, many] = await db.transaction(async (transaction) => {
      await transaction.query('INSERT INTO orders VALUES ($1)', [1]);
      const inside = app.in(transaction);
      const sent = await inside.send(add, 1);
      await expect(sent.get()).rejects.toThrow('is not committed');
      return [sent, await inside.send(group([add.si(2), add.si(3)]))] as const;
    });
    expect([await one.get(), await many.get()]).toEqual([2, [3, 4]]);
    const lost = await db.transaction(async (transaction) => {
      const sent = await app.in(transaction).send(add, 1);
      await transaction.rollback();
      return sent;
    });
    await expect(lost?.get()).rejects.toThrow('rolled back');
    await expect(app.in(db).send(add, 1)).rejects.toThrow('run BEGIN first');
  });

  test('has a store in each schema that is named', async () => {
    const one = adding(pglite({ db, schema: 'one' }), 'same');
    const two = adding(pglite({ db, schema: 'two' }), 'same');
    const sent = await one.add.delay(1);
    await two.work();
    expect(await two.app.result(sent.id).state()).toBe('unknown');
    await one.work();
    expect(await sent.get()).toBe(2);
  });

  test('is checked', () => {
    expect(() => pglite({ db: {} as PGlite })).toThrow(InvalidOptionError);
    expect(() => pglite({ db, schema: 'a"b' })).toThrow(InvalidOptionError);
    expect(() => pglite({ db, name: 'x' } as never)).toThrow(InvalidOptionError);
  });

  test('lets the event loop turn for each statement', { timeout: 120_000 }, async () => {
    let statements = 0;
    let most = 0;
    const counted = new Proxy(db, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name === 'transaction') statements += 1; // one for each statement of Umbel
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const { app, work } = adding(pglite({ db: counted }));
    const same = app.task({
      name: 'same',
      input: z.object({ n: z.number() }),
      run: async ({ n }) => n,
    });
    const sum = app.task({
      name: 'sum',
      input: z.array(z.number()),
      run: async (all) => all.reduce((total, n) => total + n, 0),
    });
    await work();
    let isOver = false;
    let seen = statements;
    const turn = () => {
      most = Math.max(most, statements - seen);
      seen = statements;
      if (!isOver) setTimeout(turn, 0);
    };
    const before = statements;
    turn();
    const members = Array.from({ length: 300 }, (_, n) => same.s({ n }));
    expect(await (await chord(group(members), sum).delay()).get({ timeout: '100s' })).toBe(44_850);
    isOver = true;
    expect(statements - before).toBeGreaterThan(100);
    // A timer of a millisecond is due after a few statements, and then runs before the next one.
    expect(most).toBeLessThan(50);
  });
});

describe('the memory', () => {
  test('is one store for all apps of the process, also after the last one was closed', async () => {
    const first = adding('pglite:memory', 'remembered');
    const sent = await first.add.delay(1);
    await first.app.close();
    const second = adding('pglite:memory', 'remembered');
    await second.work();
    expect(await second.app.result(sent.id).get()).toBe(2);
    expect(second.app.describe().store).toEqual({
      kind: 'pglite',
      address: 'pglite:memory',
      isInMemory: true,
    });
  });
});

test('rows have the types that `pg` returns, and errors contain no parameters', async () => {
  const backend = resolveConnection(pglite({ db })).factory('', { connection: {} }) as unknown as {
    query(text: string, params?: unknown[]): Promise<{ rows: unknown[] }>;
    close(): Promise<void>;
  };
  ends.push(() => backend.close());
  const { rows } = await backend.query(
    `SELECT 1::bigint AS a, 2::int AS b, 1.50::numeric AS c, true AS d, '{"e":1}'::jsonb AS e, '{x,NULL}'::text[] AS f,
      $1::text AS g, $2::bigint AS h`,
    ['text', 9_007_199_254_740_991],
  );
  expect(rows).toEqual([
    { a: '1', b: 2, c: '1.50', d: true, e: { e: 1 }, f: ['x', null], g: 'text', h: '9007199254740991' },
  ]);
  const error = await backend.query('SELECT $1::text::int', ['secret']).catch((each: unknown) => each);
  expect(error).toMatchObject({ code: '22P02', severity: 'ERROR' });
  expect(Object.keys(error as object)).not.toContain('params');
  expect(Object.keys(error as object)).not.toContain('query');
});

test('URLs that name no folder are refused', () => {
  for (const url of ['pglite:', 'pglite://data', 'pglite:///data', 'pglite:a\0b'])
    expect(() => createApp({ name: 'app', connection: url })).toThrow(InvalidOptionError);
  vi.stubEnv('UMBEL_URL', 'pglite:');
  try {
    expect(() => createApp({ name: 'app' })).toThrow('UMBEL_URL');
  } finally {
    vi.unstubAllEnvs();
  }
});
