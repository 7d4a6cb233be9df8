/** The order of statements on PGlite, and the folders of its databases, with a package in its place. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreConfigurationError } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PgliteDatabase, type PgliteSource } from '../../../src/store/engine/pglite/database.js';
import type { PgliteInstance } from '../../../src/store/engine/pglite/pglite-package.js';
import { folderSource, memorySource, pathOfFolder } from '../../../src/store/engine/pglite/sources.js';

/** Answers each statement at once, as PGlite does. */
class FakePglite implements PgliteInstance {
  readonly statements: string[] = [];
  closed = false;

  async query(text: string) {
    this.statements.push(text);
    if (text === 'fail') throw Object.assign(new Error('failed'), { params: ['secret'], query: text });
    return { rows: [{ text }] };
  }

  async exec(text: string) {
    return [await this.query(text)];
  }

  async transaction<T>(run: (session: PgliteInstance) => Promise<T>): Promise<T> {
    this.statements.push('begin');
    try {
      return await run(this);
    } finally {
      this.statements.push('end');
    }
  }

  async listen(channel: string) {
    this.statements.push(`listen ${channel}`);
    return async () => {
      this.statements.push(`unlisten ${channel}`);
    };
  }

  async close() {
    this.closed = true;
  }
}

describe('a database', () => {
  let opened: FakePglite[];

  beforeEach(() => {
    opened = [];
  });

  function newDatabase(source: Partial<PgliteSource> = {}) {
    const database = new PgliteDatabase(
      {
        ownsSession: true,
        async open() {
          const instance = new FakePglite();
          opened.push(instance);
          return instance;
        },
        close: (instance) => instance.close(),
        ...source,
      },
      'umbel',
    );
    const user = {};
    database.retain(user);
    return { database, user };
  }

  test('turns the event loop after each statement', async () => {
    const { database } = newDatabase();
    await database.query('first');
    let turns = 0;
    let isOver = false;
    const turn = () => {
      turns += 1;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    for (let n = 0; n < 100; n += 1) await database.query(`${n}`);
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(99);
  });

  test('runs the commands before it was closed, and later ones on a new instance', async () => {
    const { database, user } = newDatabase();
    const other = {};
    const [first, closing] = [database.query('first'), database.release(user)];
    await expect(database.query('refused')).rejects.toThrow('Client was closed');
    database.retain(other);
    const second = database.query('second');
    await Promise.all([first, closing, second]);
    expect(opened.map(({ statements, closed }) => [statements.at(-1), closed])).toEqual([
      ['first', true],
      ['second', false],
    ]);
  });

  test('is opened again by the next command, if that fails', async () => {
    const open = vi.fn<() => Promise<PgliteInstance>>(async () => new FakePglite());
    open.mockRejectedValueOnce(new Error('no folder'));
    const { database } = newDatabase({ open });
    await expect(database.query('a')).rejects.toThrow('no folder');
    await expect(database.query('b')).resolves.toMatchObject({ rows: [{ text: 'b' }] });
    expect(open).toHaveBeenCalledTimes(2);
  });

  test('of the user has the search path of the store for one statement only', async () => {
    const { database } = newDatabase({ ownsSession: false });
    await database.query('a', [1]);
    expect(opened[0]?.statements).toEqual(['begin', 'SET LOCAL search_path TO "umbel"', 'a', 'end']);
  });

  test('runs a session as one transaction, and those inside as savepoints', async () => {
    const { database } = newDatabase();
    const [, later] = await Promise.all([
      database.session(async ({ query, transaction }) => {
        await expect(query('fail')).rejects.toThrow('failed');
        await transaction(() => query('a'));
        await expect(transaction(() => query('fail'))).rejects.toThrow('failed');
      }),
      database.query('later'),
    ]);
    expect(later.rows).toEqual([{ text: 'later' }]);
    const [point, end, undo] = ['SAVEPOINT umbel', 'RELEASE SAVEPOINT umbel', 'ROLLBACK TO SAVEPOINT umbel'];
    expect(opened[0]?.statements.slice(1)).toEqual([
      ...['begin', 'SET LOCAL search_path TO "umbel"'],
      ...[point, 'fail', undo, end],
      ...[point, 'a', end],
      ...[point, 'fail', undo, end],
      ...['end', 'later'],
    ]);
  });

  test('removes the parameters from errors', async () => {
    const { database } = newDatabase();
    const error = await database.query('fail', ['secret']).catch((each: unknown) => each);
    expect(error).toMatchObject({ message: 'failed' });
    expect(Object.keys(error as object)).toEqual([]);
  });

  test('listens once to a channel, until it is closed', async () => {
    const { database, user } = newDatabase({ close: async () => {} });
    await Promise.all([database.listen('jobs'), database.listen('jobs')]);
    await database.release(user);
    expect(opened[0]?.statements.slice(1)).toEqual(['listen jobs', 'unlisten jobs']);
  });
});

describe('a folder', () => {
  let root: string;
  const create = vi.fn<(folder: string) => Promise<PgliteInstance>>();
  const source = (folder: string) => folderSource({ PGlite: { create } }, folder);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'umbel-folder-'));
    create.mockReset().mockImplementation(async (folder) => {
      writeFileSync(join(folder, 'PG_VERSION'), '18');
      return new FakePglite();
    });
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const filesOf = (folder: string) => readdirSync(folder).map((file) => file.replace(/(?<=lock).*/, ''));

  test('is created, and locked until its database is closed', async () => {
    const folder = join(root, 'a/b');
    const opening = source(folder);
    const database = await opening.open();
    expect(filesOf(folder)).toEqual(['PG_VERSION', 'umbel-lock']);
    await opening.close(database);
    expect(filesOf(folder)).toEqual(['PG_VERSION']);
    expect((database as FakePglite).closed).toBe(true);
  });

  test('in which a new database was not finished is emptied', async () => {
    create.mockImplementationOnce(async (folder) => {
      mkdirSync(join(folder, 'base'));
      writeFileSync(join(folder, 'PG_VERSION'), '18');
      throw new Error('killed');
    });
    await expect(source(root).open()).rejects.toThrow('killed');
    expect(filesOf(root)).toEqual(['PG_VERSION', 'base', 'umbel-unfinished']);
    await source(root).open();
    expect(filesOf(root)).toEqual(['PG_VERSION', 'umbel-lock']);
  });

  test('with other files is refused, and left as it is', async () => {
    writeFileSync(join(root, 'notes.txt'), '');
    await expect(source(root).open()).rejects.toThrow(StoreConfigurationError);
    await expect(source(root).open()).rejects.toThrow('has no database of PGlite, but other files');
    expect(filesOf(root)).toEqual(['notes.txt']);
    expect(create).not.toHaveBeenCalled();
  });

  test('that is missing has the path that it will have', () => {
    expect(pathOfFolder(join(root, 'x/../y/z/'))).toBe(join(pathOfFolder(root), 'y/z'));
    expect(existsSync(join(root, 'y'))).toBe(false);
  });
});

test('the memory is opened once', async () => {
  const create = vi.fn(async () => new FakePglite());
  const source = memorySource({ PGlite: { create } });
  const database = await source.open();
  await source.close(database);
  expect(await source.open()).toBe(database);
  expect(create).toHaveBeenCalledExactlyOnceWith('memory://');
  expect((database as FakePglite).closed).toBe(false);
});
