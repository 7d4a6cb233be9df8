import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { VERSION } from '../../../src/base/version.js';
import { registeredTasks } from '../../../src/control/inspect.js';
import { resolveConnection } from '../../../src/store/connection.js';
import type { TaskEntry } from '../../../src/task/definition.js';

test('the version is that of the package', () => {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  expect(VERSION).toBe(JSON.parse(manifest).version);
});

describe('the facts of a connection', () => {
  const factsOf = (connection: Parameters<typeof resolveConnection>[0]) =>
    resolveConnection(connection).describe();

  test.each([
    ['redis://user:pass@db.internal:7000/3?password=pass', 'db.internal:7000', 3, false],
    ['rediss://:pass@db.internal', 'db.internal:6379', 0, true],
    [{ host: 'h', port: 1, username: 'user', password: 'pass', db: 2, tls: { ca: 'pass' } }, 'h:1', 2, true],
    [{ path: '/run/redis.sock' }, '/run/redis.sock', 0, false],
    [{ url: 'redis://:pass@u:9/1' } as never, 'u:9', 1, false],
    [{ sentinels: [{ host: 's', port: 2, password: 'pass' }], name: 'm' } as never, 's:2', 0, false],
    [{}, '127.0.0.1:6379', 0, false],
  ])('%j are its address and no secret', (connection, address, database, isEncrypted) => {
    const facts = factsOf(connection);
    expect(facts).toEqual({ kind: 'redis', addresses: [address], database, isEncrypted });
    expect(JSON.stringify(facts)).not.toContain('pass');
  });

  test('of a client of ioredis are those of its options', () => {
    const client = new Redis({ lazyConnect: true, host: 'h', port: 5, password: 'pass', db: 4 });
    expect(factsOf(client as never)).toEqual({
      kind: 'redis',
      addresses: ['h:5'],
      database: 4,
      isEncrypted: false,
    });
    client.disconnect();
  });

  test('of a cluster are its nodes', () => {
    const startupNodes = [{ host: 'a', port: 1, password: 'pass' }, 'redis://:pass@b:2', 7001];
    const given = { startupNodes, duplicate() {}, options: { redisOptions: { tls: {}, password: 'pass' } } };
    expect(factsOf(given as never)).toEqual({
      kind: 'cluster',
      addresses: ['a:1', 'b:2', '127.0.0.1:7001'],
      database: 0,
      isEncrypted: true,
    });
  });

  test('of another store are none', () => {
    expect(factsOf((() => ({})) as never)).toEqual({
      kind: 'other',
      addresses: [],
      database: 0,
      isEncrypted: false,
    });
  });
});

describe('registered tasks', () => {
  const schemaOf = (input: TaskEntry['input']) => {
    const entry = { name: 'task', options: {}, ...(input !== undefined && { input }) };
    return registeredTasks([entry], (_, own) => own ?? 'default')[0]?.input;
  };

  test('have no JSON Schema where the library gives none', () => {
    expect(schemaOf(undefined)).toBeNull();
    expect(schemaOf(z.object({ at: z.date() }))).toBeNull();
    const plain = {
      '~standard': { version: 1, vendor: 'x', validate: (value: unknown) => ({ value }) },
    } as const;
    expect(schemaOf(plain)).toBeNull();
    const strange = { '~standard': { ...plain['~standard'], jsonSchema: { input: () => 'text' } } };
    expect(schemaOf(strange)).toBeNull();
  });

  test('tell what a sender gives, at any depth without defaults and examples', () => {
    const inner = z.object({ level: z.number().default(3) }).default({ level: 4 });
    const schema = z.object({
      kind: z.literal('default'),
      color: z.enum(['red', 'green']),
      list: z.array(inner).meta({ examples: ['secret'] }),
      default: z.string(),
      examples: z.string().optional(),
    });
    const found = schemaOf(schema);
    expect(found).toMatchObject({
      properties: {
        kind: { const: 'default' },
        color: { enum: ['red', 'green'] },
        list: { type: 'array', items: { type: 'object', properties: { level: { type: 'number' } } } },
        default: { type: 'string' },
        examples: { type: 'string' },
      },
      required: ['kind', 'color', 'list', 'default'],
    });
    const { list } = (found as { properties: { list: { items: object } } }).properties;
    expect(Object.keys(list).sort()).toEqual(['items', 'type']);
    expect(list.items).not.toHaveProperty('default');
    expect(list.items).not.toHaveProperty('properties.level.default');
  });
});
