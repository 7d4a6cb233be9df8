import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { resolveConnection } from '../../src/store/connection.js';

interface Reconnecting {
  readonly retryStrategy: (times: number) => number;
  readonly maxLoadingRetryTime: number;
}

const optionsOf = (connection: Parameters<typeof resolveConnection>[0]) =>
  resolveConnection(connection).options as Partial<Reconnecting> & { readonly host?: string };

describe('a lost connection', () => {
  test.each([['redis://127.0.0.1:1'], [{ host: '127.0.0.1', port: 1 }]])(
    'is tried again within a second, however long it was lost: %o',
    (connection) => {
      const { retryStrategy, maxLoadingRetryTime } = optionsOf(connection);
      expect([1, 2, 3, 4, 5, 50].map((times) => retryStrategy?.(times))).toEqual([
        100, 200, 400, 800, 1000, 1000,
      ]);
      expect(maxLoadingRetryTime).toBe(500);
    },
  );

  test('is tried again as the given options say', () => {
    const retryStrategy = () => 7;
    expect(optionsOf({ host: 'h', retryStrategy })).toMatchObject({ host: 'h', retryStrategy });
  });

  test('of a client that was given is its owner’s', () => {
    const client = new Redis({ lazyConnect: true });
    expect(resolveConnection(client).options).toBe(client);
    client.disconnect();
  });
});

describe('the spelling of a connection', () => {
  test.each([
    ['redis://db:7000', 'redis', true, 'redis://db:7000'],
    ['memory:', 'memory', false, 'the memory of this process'],
  ])('%s is %s', (url, kind, isShared, address) => {
    expect(resolveConnection(url)).toMatchObject({ kind, isShared, address });
  });

  test('memory: is one store for all apps of a process', () => {
    expect(resolveConnection('memory:').factory).toBe(resolveConnection('memory:').factory);
  });

  test('of no engine is refused, without its password', () => {
    expect(() => resolveConnection('http://me:secret@db')).toThrow(
      'Expected `connection` to be a redis:// or rediss:// URL such as redis://127.0.0.1:6379',
    );
    expect(() => resolveConnection('http://me:secret@db')).not.toThrow('secret');
  });
});
