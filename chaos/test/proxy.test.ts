/** What workers see of Redis through the proxy. */
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { RedisProxy } from '../src/redis/proxy.js';

describe('a proxy', () => {
  let proxy: RedisProxy;
  let client: Redis;

  beforeEach(async () => {
    proxy = new RedisProxy(Number(new URL(inject('redisUrl')).port));
    client = new Redis(await proxy.listen(), { maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => {}); // told by the commands
    await client.ping();
  });

  afterEach(() => {
    client.disconnect();
    proxy.close();
  });

  /** Does something to the first request of a command. */
  const once = (wanted: string, mischief: ReturnType<Parameters<RedisProxy['meddle']>[0]>) => {
    const stop = proxy.meddle((command) => {
      if (command !== wanted) return undefined;
      stop();
      return mischief;
    });
  };

  test('hands on what it does not meddle with', async () => {
    await client.set('chaos:proxy', 'ä'.repeat(100_000));
    expect(await client.get('chaos:proxy')).toHaveLength(100_000);
    expect(await client.del('chaos:proxy')).toBe(1);
  });

  test('refuses one request among others that are under way, and keeps the order of replies', async () => {
    once('INCR', { kind: 'refuse', message: 'OOM full' });
    const replies = await Promise.allSettled([client.echo('a'), client.incr('chaos:n'), client.echo('b')]);
    expect(
      replies.map((reply) => (reply.status === 'fulfilled' ? reply.value : reply.reason.message)),
    ).toEqual(['a', 'OOM full', 'b']);
    expect(await client.exists('chaos:n')).toBe(0);
  });

  test('refuses a transaction one of whose commands is refused', async () => {
    once('INCR', { kind: 'refuse', message: 'LOADING not yet' });
    const refused = client.multi().set('chaos:t', '1').incr('chaos:t').exec();
    await expect(refused).rejects.toThrow('EXECABORT');
    expect(await client.exists('chaos:t')).toBe(0);
    await client.multi().set('chaos:t', '1').incr('chaos:t').exec();
    expect(await client.getdel('chaos:t')).toBe('2');
  });

  test('cuts the connection before a request has arrived', async () => {
    once('SET', { kind: 'cut-before' });
    await expect(client.set('chaos:cut', '1')).rejects.toThrow();
    const direct = new Redis(inject('redisUrl'));
    expect(await direct.exists('chaos:cut')).toBe(0);
    direct.disconnect();
  });

  test('cuts the connection after a request has arrived, before its reply', async () => {
    once('SET', { kind: 'cut-after' });
    await expect(client.set('chaos:cut', '1')).rejects.toThrow();
    const direct = new Redis(inject('redisUrl'));
    expect(await direct.del('chaos:cut')).toBe(1);
    direct.disconnect();
  });

  test('holds a reply back', async () => {
    once('ECHO', { kind: 'slow', ms: 60 });
    const order: string[] = [];
    const first = client.echo('first').then((text) => order.push(text));
    const second = client.echo('second').then((text) => order.push(text));
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });
});
