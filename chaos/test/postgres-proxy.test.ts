/** What workers see of PostgreSQL through the proxy. */
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeOnPostgres } from '../../test/support/on-postgres.js';
import { PostgresProxy } from '../src/postgres/proxy.js';
import type { Mischief } from '../src/proxy.js';

describeOnPostgres('a proxy of PostgreSQL', ({ server, client: direct }) => {
  let proxy: PostgresProxy;
  let client: pg.Client;

  beforeEach(async () => {
    proxy = new PostgresProxy(server().url);
    client = new pg.Client({ connectionString: await proxy.listen() });
    client.on('error', () => {}); // told by the statements
    await client.connect();
    await direct().query('CREATE TABLE IF NOT EXISTS n (n text)');
    await direct().query('TRUNCATE n');
  });

  afterEach(async () => {
    proxy.close();
    await client.end().catch(() => {});
  });

  const add = () => client.query('INSERT INTO n SELECT lower($1)', ['A']);
  const count = async () => (await direct().query('SELECT count(*)::int AS n FROM n')).rows[0].n as number;

  /** Does something to the next request, and returns how the proxy calls it. */
  const once = (mischief: Mischief) =>
    new Promise<string>((resolve) => {
      const stop = proxy.meddle((command) => {
        stop();
        resolve(command);
        return mischief;
      });
    });

  test('hands on what it does not meddle with', async () => {
    const text = 'ä'.repeat(100_000);
    const { rows } = await client.query('SELECT $1::text AS text', [text]);
    expect(rows[0].text === text).toBe(true);
    expect((await client.query('SELECT 1 AS one; SELECT 2 AS two')) as unknown).toHaveLength(2);
  });

  test('refuses one request, and hands on the next', async () => {
    const struck = once({ kind: 'refuse', message: '53100 the disk is full' });
    await expect(add()).rejects.toMatchObject({
      code: '53100',
      message: 'the disk is full',
      severity: 'ERROR',
    });
    expect(await struck).toBe('lower');
    expect(await count()).toBe(0);
    await add();
    expect(await count()).toBe(1);
  });

  test('leaves transactions of a client alone', async () => {
    await client.query('BEGIN');
    void once({ kind: 'refuse', message: '53100 the disk is full' });
    await add();
    await client.query('COMMIT');
    expect(await count()).toBe(1);
    await expect(add()).rejects.toThrow('the disk is full');
  });

  test('cuts the connection before a request has arrived', async () => {
    void once({ kind: 'cut-before' });
    await expect(add()).rejects.toThrow();
    expect(await count()).toBe(0);
  });

  test('cuts the connection after a request has arrived, before its reply', async () => {
    void once({ kind: 'cut-after' });
    await expect(add()).rejects.toThrow();
    expect(await count()).toBe(1);
  });

  test('holds the reply back that follows', async () => {
    void once({ kind: 'slow', ms: 60 });
    const order: string[] = [];
    await client.query('SELECT 1').then(() => order.push('slow'));
    const next = client.query('SELECT 2').then(() => order.push('behind it'));
    await direct()
      .query('SELECT 1')
      .then(() => order.push('another connection'));
    await next;
    expect(order).toEqual(['slow', 'another connection', 'behind it']);
  });
});
