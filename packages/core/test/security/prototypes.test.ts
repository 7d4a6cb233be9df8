/** No stored text changes a prototype, and no value that is read from the store has a key `__proto__` of its own. */
import { chain, chunks, group } from '@umbel/canvas';
import { type App, CorruptJobError, InvalidOptionError, TaskFailedError } from '@umbel/core';
import { completeInput } from '@umbel/core/internal';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { readErrorRecord, rebuildError } from '../../src/codec/error-record.js';
import { sanitize } from '../../src/codec/masking.js';
import { decodeEnvelope, readEnvelope } from '../../src/job/envelope.js';
import { onRedis, plantFailure, plantJobs, plantResult } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

/** Every key of every object in a value. */
function* keysIn(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    yield key;
    yield* keysIn((value as Record<string, unknown>)[key]);
  }
}

const hasProto = (value: unknown) => [...keysIn(value)].includes('__proto__');

/** What every object has, which no test may change. */
const shared = () =>
  [Object.prototype, Array.prototype, Function.prototype, Object, Function].map((owner) =>
    Reflect.ownKeys(owner).map(String),
  );
let before: string[][] = [];
beforeEach(() => {
  before = shared();
});
afterEach(() => {
  expect(shared()).toEqual(before);
  expect(({} as { admin?: unknown }).admin).toBeUndefined();
});

const POISON =
  '{"a":1,"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},"prototype":{"admin":true}}';
const poison = (): Record<string, unknown> => JSON.parse(POISON);

const badKey = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'a',
  'umbel',
  'input',
  '0',
);
/** JSON in which the names of what every object has are as likely as others. */
const hostileJson = fc
  .letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constant('__proto__'),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.array(fc.tuple(badKey, tie('value')), { maxLength: 4 }).map(
        // As text: a literal with this key would set the prototype.
        (entries) => ({
          raw: `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${text(item)}`).join()}}`,
        }),
      ),
    ),
  }))
  .value.map(text);

function text(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(text).join()}]`;
  if (typeof value === 'object' && value !== null && 'raw' in value) return String(value.raw);
  return JSON.stringify(value) ?? 'null';
}

const FIELDS = [
  ...['input', 'items', 'headers', 'tags', 'label', 'after', 'into', 'expand', 'join', 'replacement', 'fed'],
  ...['callbacks', 'failure', 'revokedTags', '__proto__', 'constructor', 'other'],
];

describe('a stored text with any keys', () => {
  test('is given on without a key __proto__', () => {
    fc.assert(
      fc.property(hostileJson, (json) => {
        const value: unknown = JSON.parse(json);
        expect(sanitize(value)).toBeUndefined();
        expect(hasProto(value)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('as an envelope is refused, or has no key __proto__ in any field', () => {
    const envelope = fc
      .array(fc.tuple(fc.constantFrom(...FIELDS), hostileJson), { maxLength: 6 })
      .map(
        (fields) =>
          `{"umbel":1${fields.map(([field, json]) => `,${JSON.stringify(field)}:${json}`).join('')}}`,
      );
    fc.assert(
      fc.property(envelope, (json) => {
        expect(hasProto(readEnvelope(JSON.parse(json)))).toBe(false);
        try {
          const decoded = decodeEnvelope('id', JSON.parse(json));
          expect(hasProto(decoded)).toBe(false);
          expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
        } catch (error) {
          if (!(error instanceof CorruptJobError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  test('as an error is rebuilt without a key __proto__', () => {
    fc.assert(
      fc.property(hostileJson, hostileJson, (json, cause) => {
        const stored = `{"name":"ExpectedFailureError","message":"m","failure":"f","data":${json},"code":${json},"issues":${json},"cause":${cause}}`;
        const record = readErrorRecord(JSON.parse(stored));
        expect(record).toBeDefined();
        expect(hasProto(record)).toBe(false);
        if (record !== undefined) expect(hasProto({ ...rebuildError(record) })).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('is merged with bound keys without a change to a prototype', () => {
    fc.assert(
      fc.property(hostileJson, hostileJson, fc.option(badKey, { nil: undefined }), (bound, json, key) => {
        const [input, value]: unknown[] = [JSON.parse(bound), JSON.parse(json)];
        for (const part of [input, value]) sanitize(part);
        const into = key === '__proto__' ? undefined : key;
        try {
          const whole = completeInput('t', { input, ...(into !== undefined && { into }) }, value);
          expect(hasProto(whole)).toBe(false);
          if (typeof whole === 'object' && whole !== null)
            expect([Object.prototype, Array.prototype]).toContain(Object.getPrototypeOf(whole));
        } catch (error) {
          expect(error).toMatchObject({ name: 'ValidationError' });
        }
      }),
      { numRuns: 300 },
    );
  });
});

onEveryEngine('planted keys', (engine) => {
  /** A task that takes anything, and what its handler was given. */
  function keeping(app: App) {
    const seen: { input: unknown; headers: unknown; tags: unknown }[] = [];
    const keep = app.task({
      name: 'keep',
      input: z.any(),
      run: async (input, { headers, tags }) => {
        seen.push({ input, headers, tags });
        return 1;
      },
    });
    return { keep, seen };
  }

  test('in inputs, headers, tags and items reach no handler', async () => {
    const app = engine.app();
    const { seen } = keeping(app);
    const headers: unknown = JSON.parse('{"__proto__":"x","constructor":"y"}');
    const planted = [
      { umbel: 1, input: poison(), headers, tags: ['__proto__'] },
      { umbel: 1, input: [[poison()], { deep: { deeper: poison() } }] },
      { umbel: 1, items: [poison(), [poison()]], offset: 0 },
    ];
    const ids = await plantJobs(engine.bareQueue('default'), 'keep', planted);
    await app.worker().start();
    for (const id of ids) await app.result(id).get(soon);
    expect(seen).toHaveLength(4);
    for (const given of seen) {
      expect(hasProto(given)).toBe(false);
      const { input } = given as { input: { admin?: unknown } };
      expect(input.admin).toBeUndefined();
    }
    expect(seen[0]?.headers).toEqual({ constructor: 'y' });
  });

  test('in progress, failures and what a handle tells are left out', async () => {
    const app = engine.app();
    const fail = app.task({
      name: 'fail',
      run: async () => {
        throw new Error('its own');
      },
    });
    await app.worker().start();
    const result = await fail.delay();
    await result.get(soon).catch(() => {});
    const bare = engine.bareQueue('default');
    const error = { name: 'ExpectedFailureError', message: 'm', failure: 'f', data: poison() };
    await plantFailure(bare, result.id, error, { input: poison() });
    await (await bare.getJob(result.id))?.updateProgress(poison());
    const reason: unknown = await result.get(soon).catch((thrown: unknown) => thrown);
    expect(reason).toBeInstanceOf(TaskFailedError);
    expect((reason as TaskFailedError).cause).toMatchObject({ failure: 'f', data: { a: 1 } });
    const told = [
      (reason as TaskFailedError & { cause: { data: unknown } }).cause.data,
      await result.info(),
      await app.deadLetters.list(),
    ];
    for await (const progress of result.progress()) told.push(progress as object);
    expect(told).toHaveLength(4);
    expect(hasProto(told)).toBe(false);
  });

  test.runIf(engine.name === 'redis')(
    'in a result reach neither its caller nor the step after it',
    async () => {
      const app = engine.app();
      const { keep, seen } = keeping(app);
      const give = app.task({ name: 'give', queue: 'first', run: async (): Promise<unknown> => ({ a: 1 }) });
      const worker = await app.worker({ queues: ['first'] }).start();
      const single = await give.delay();
      await single.get(soon);
      const run = await chain(group({ x: give, y: give }), keep).delay();
      const first = engine.bareQueue('first');
      await vi.waitFor(async () => expect(await first.getJobCountByTypes('completed')).toBe(3));
      await worker.close();
      await plantResult(app, 'first', single.id, POISON);
      const value = await single.get(soon);
      expect(value).toMatchObject({ a: 1 });
      expect(hasProto(value)).toBe(false);
      // The results of children stand with the job that waits for them.
      const spoilt = await onRedis(async (redis) => {
        const keys = await redis.keys(`umbel:{${app.name}}:*:processed`);
        for (const key of keys)
          for (const field of await redis.hkeys(key)) await redis.hset(key, field, POISON);
        return keys.length;
      });
      expect(spoilt).toBeGreaterThan(0);
      await app.worker({ queues: ['default'] }).start();
      expect(await run.get(soon)).toBe(1);
      expect(hasProto(seen)).toBe(false);
      expect(seen[0]?.input).toMatchObject({ x: { a: 1 }, y: { a: 1 } });
    },
  );

  test('that would merge into a prototype name no member, no key and no header', async () => {
    const app = engine.app();
    const { keep } = keeping(app);
    expect(() => keep.into('__proto__' as never)).toThrow(InvalidOptionError);
    const members = Object.fromEntries([['__proto__', keep]]) as unknown as { readonly x: typeof keep };
    await expect(group(members).delay(1)).rejects.toThrow('"__proto__" is not allowed');
    const headers = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
    await expect(keep.applyAsync(1, { headers })).rejects.toThrow(InvalidOptionError);
    await expect(keep.delay(poison())).rejects.toThrow('it has an own key "__proto__"');
    await expect(chunks(keep, [poison()], 1).delay()).rejects.toThrow('it has an own key "__proto__"');
    expect(await app.queue('default').counts()).toMatchObject({ waiting: 0, completed: 0 });
  });

  test('that are planted as the key of a join or of an input fail their job', async () => {
    const app = engine.app();
    const { keep } = keeping(app);
    const planted = [
      { umbel: 1, run: 'r', after: { record: '0', keys: ['__proto__'] } },
      { umbel: 1, run: 'r', after: { step: '0' }, into: '__proto__' },
    ];
    const ids = await plantJobs(engine.bareQueue('default'), 'keep', planted);
    await app.worker().start();
    for (const id of ids) await expect(app.result(id).get(soon)).rejects.toThrow('is not ');
    expect(await (await keep.delay(1)).get(soon)).toBe(1);
  });
});
