/** Tasks that are known by their names only, and handlers of many contracts. */
import { createApp, DuplicateTaskError, defineTask, InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'named' });

describe('a signature of a name', () => {
  test('is as that of a task', () => {
    const named = app.signature('far.away');
    expect(named.name).toBe('far.away');
    expect(named.toJSON()).toEqual({ kind: 'task', task: 'far.away' });
    expect(named.s({ x: 1 }).toJSON()).toEqual({ kind: 'task', task: 'far.away', input: { x: 1 } });
    expect(named.si(3).toJSON()).toEqual({ kind: 'task', task: 'far.away', input: 3, immutable: true });
    expect(named.into('x', { y: 1 }).toJSON()).toEqual({
      kind: 'task',
      task: 'far.away',
      input: { y: 1 },
      into: 'x',
    });
  });

  test.each(['', 'a b', 'umbel:run', 'x'.repeat(101)])('%j is refused', (name) => {
    expect(() => app.signature(name)).toThrow(InvalidOptionError);
  });
});

describe('a client', () => {
  const client = app.client<Record<string, { name: 'count'; '~extras': object; toJSON(): unknown }>>();

  test('has each task under its name', () => {
    expect(client.count.toJSON()).toEqual({ kind: 'task', task: 'count' });
    expect(client.count).toBe(client.count);
  });

  test('is no promise, and no tool takes a part of it for a task', async () => {
    await expect(Promise.resolve(client)).resolves.toBe(client);
    const any = client as unknown as Record<PropertyKey, unknown>;
    expect([any.then, any.toJSON, any.$$typeof, any[Symbol.iterator]]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(JSON.stringify(client)).toBe('{}');
  });
});

describe('handlers of many contracts', () => {
  const contracts = () => ({
    half: defineTask({ name: 'half', input: z.number(), output: z.number() }),
    twice: defineTask({ name: 'twice', input: z.number(), output: z.number() }),
  });
  const handlers = { half: async (n: number) => n / 2, twice: async (n: number) => n * 2 };
  const untyped = (fn: unknown) => fn as (...args: unknown[]) => unknown;

  test('are given by the keys of the contracts', () => {
    const own = createApp({ name: 'many' });
    const bound = own.implementAll(contracts(), handlers);
    expect(Object.keys(bound)).toEqual(['half', 'twice']);
    expect(bound.twice.name).toBe('twice');
    expect(() => own.task({ name: 'half', run: async () => 1 })).toThrow(DuplicateTaskError);
  });

  test.each<[string, object, string]>([
    ['a missing one', { half: handlers.half }, '`handlers.twice` to be a function, got undefined'],
    ['one of no contract', { ...handlers, third: handlers.half }, '`handlers.third`'],
    ['what is no function', { ...handlers, twice: 3 }, '`handlers.twice` to be a function, got 3'],
    [
      'an inherited one',
      Object.assign(Object.create({ twice: handlers.half }), { half: handlers.half }),
      'twice',
    ],
  ])('are refused with %s, and none is given', (_, given, message) => {
    const own = createApp({ name: 'many' });
    expect(() => untyped(own.implementAll.bind(own))(contracts(), given)).toThrow(message);
    expect(() => own.task({ name: 'half', run: async () => 1 })).not.toThrow();
  });

  test('are refused for what is no contract', () => {
    const own = createApp({ name: 'many' });
    expect(() => untyped(own.implementAll.bind(own))({ half: {} }, { half: handlers.half })).toThrow(
      '`contracts.half` to be a contract made by defineTask',
    );
  });
});
