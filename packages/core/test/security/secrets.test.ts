/** Sensitive values stand nowhere but in inputs and results, and with encryption nowhere at all. */
import { randomBytes } from 'node:crypto';
import { chain, chord, chunks, fallback, group, map } from '@umbel/canvas';
import { type App, CorruptJobError, compression, encryption, TaskFailedError } from '@umbel/core';
import type { Redis } from 'ioredis';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { type CodecContext, Sealer } from '../../src/codec/codecs.js';
import { recordError } from '../../src/codec/error-record.js';
import { maskFor } from '../../src/codec/masking.js';
import { onRedis, plantResult } from '../support/planting.js';

const soon = { timeout: '50s' } as const;
const CANARY = 'canary-4711-secret';

/** What Redis holds under each key of an app, as text. */
async function storedTexts(app: App): Promise<Map<string, string>> {
  return onRedis(async (redis) => {
    const keys = await redis.keys(`umbel:{${app.name}}:*`);
    const texts = await Promise.all(keys.map(async (key) => [key, await textOf(redis, key)] as const));
    return new Map(texts.map(([key, text]) => [key, `${key} ${text}`]));
  });
}

async function textOf(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key);
  const read: Record<string, () => Promise<unknown>> = {
    hash: () => redis.hgetall(key),
    string: () => redis.get(key),
    list: () => redis.lrange(key, '0', '-1'),
    set: () => redis.smembers(key),
    zset: () => redis.zrange(key, '0', '-1'),
    stream: () => redis.xrange(key, '-', '+'),
    none: async () => '', // gone meanwhile: a lock, a marker
  };
  const value = await read[type]?.();
  if (value === undefined) throw new Error(`a key of the type ${type}`);
  return JSON.stringify(value);
}

/** The secret as it is, and as it stands in base64 whatever stands before it. */
function hits(text: string): boolean {
  const inBase64 = [0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${CANARY}`)
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, 16),
  );
  return [CANARY, ...inBase64].some((form) => text.includes(form));
}

/** Sends a secret on every way there is; every failure quotes it. */
async function useEverywhere(app: App): Promise<void> {
  const text = CANARY;
  const secret = z.object({ token: z.string(), more: z.string().optional() });
  const keep = app.task({
    name: 'keep',
    input: secret,
    progress: z.object({ token: z.string() }),
    states: ['checking'],
    run: async ({ token }, ctx) => {
      ctx.log.warn(`has ${token}`, { token, text: `is ${token}` });
      await ctx.progress({ token });
      await ctx.setState('checking');
      return { token };
    },
  });
  const breaks = app.task({
    name: 'breaks',
    input: secret,
    retry: { attempts: 2, delay: 1 },
    run: async ({ token }): Promise<{ token: string }> => {
      const cause = Object.assign(new Error(token), { code: token, stack: `at ${token}` });
      throw new TypeError(`refused ${token}`, { cause });
    },
  });
  const declines = app.task({
    name: 'declines',
    input: secret,
    failures: { declined: z.object({ token: z.string() }) },
    run: async ({ token }, ctx): Promise<{ token: string }> => ctx.fail('declined', { token }),
  });
  const refuses = app.task({
    name: 'refuses',
    input: z.object({
      token: z.string().refine(() => false, { error: ({ input }) => `bad ${String(input)}` }),
    }),
    run: async () => null,
  });
  const replaces = app.task({
    name: 'replaces',
    input: secret,
    run: async ({ token }, ctx): Promise<{ token: string }> => ctx.replace(keep, { token }),
  });
  const adds = app.task({
    name: 'adds',
    input: secret,
    run: async ({ token }, ctx) => {
      await ctx.addToGroup(keep, { token });
      return { token };
    },
  });
  const collect = app.task({ name: 'collect', input: z.array(secret), run: async (all) => all });
  const noteFailure = app.task({ name: 'note-failure', input: z.any(), run: async () => null });
  await app.worker().start();

  const one = { token: text };
  const succeeding = [
    await keep.applyAsync(one, { link: keep.s({ more: text }), idempotencyKey: 'k' }),
    await chain(keep, keep, group([keep, keep.s({ more: text })]), collect).delay(one),
    await chord(group([adds.si(one), replaces.si(one)]), collect).delay(),
    await map(keep, [one, one]).delay(),
    await chunks(keep, [one, one, one], 2).delay(),
    await chain(collect, map(keep)).delay([one]),
    await fallback(breaks.si(one), keep.si(one)).delay(),
    await group(new Set([keep.si(one), keep.si(one)])).delay(),
    await group.settled([breaks.si(one), keep.si(one)]).delay(),
  ];
  for (const result of succeeding) await result.get(soon);
  const failing = [
    await breaks.applyAsync(one, { linkError: noteFailure }),
    await declines.delay(one),
    await chain(keep, breaks, keep).delay(one),
    await chunks(breaks, [one], 1).delay(),
    await chain(keep, refuses).delay(one),
  ];
  for (const result of failing) {
    const error = await result.get(soon).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TaskFailedError);
  }
  // The sender of these members meets what it cannot send when the run is stored already.
  await expect(group(new Set([keep.si(one), refuses.si(one)])).delay()).rejects.toThrow('is not valid');
  await vi.waitFor(async () => {
    const counts = await app.queue('default').counts();
    expect(counts.waiting + counts.active + counts.delayed + counts['waiting-children']).toBe(0);
  });
}

onEveryEngine('a secret', (engine) => {
  test('that is encrypted and masked stands nowhere in the store, in no line that is told and in no error', async () => {
    const told: string[] = [];
    const tell = (message: string) => void told.push(message);
    const key = randomBytes(32);
    const app = engine.app({
      codecs: [compression({ minBytes: 64 }), encryption({ keys: { k: key }, current: 'k' })],
      sensitive: ['token'],
      logger: { info: tell, warn: tell, error: tell },
      hooks: {
        before: (_ctx, input) => {
          throw new Error(`saw ${JSON.stringify(input)}`);
        },
      },
    });
    await useEverywhere(app);
    expect(told.join()).toContain('saw {"token":"***"}');
    expect(hits(told.join())).toBe(false);
    for (const letter of await app.deadLetters.list()) expect(hits(JSON.stringify(letter.error))).toBe(false);
    if (engine.name !== 'redis') return;
    const texts = await storedTexts(app);
    expect(texts.size).toBeGreaterThan(50);
    expect([...texts.values()].join()).toContain('umbel:sealed');
    expect([...texts].filter(([, text]) => hits(text)).map(([key]) => key)).toEqual([]);
  });

  test.runIf(engine.name === 'redis')('that is only encrypted stands nowhere in the store', async () => {
    const app = engine.app({ codecs: [encryption({ keys: { k: randomBytes(32) }, current: 'k' })] });
    await useEverywhere(app);
    const texts = await storedTexts(app);
    expect([...texts.values()].join()).toContain('umbel:sealed');
    expect([...texts].filter(([, text]) => hits(text)).map(([key]) => key)).toEqual([]);
  });

  test.runIf(engine.name === 'redis')(
    'that is only masked stands in inputs and results, and in nothing that people read',
    async () => {
      const app = engine.app({ sensitive: ['token', 'more'] });
      await useEverywhere(app);
      const READ = ['failedReason', 'stacktrace', 'progress'];
      const found: string[] = [];
      await onRedis(async (redis) => {
        for (const key of await redis.keys(`umbel:{${app.name}}:*`)) {
          const type = await redis.type(key);
          if (type === 'hash') {
            for (const [field, text] of Object.entries(await redis.hgetall(key))) {
              if (READ.includes(field) && hits(text)) found.push(`${key} ${field}`);
              if (field !== 'data') continue;
              const { failure, fed } = JSON.parse(text) as { failure?: unknown; fed?: unknown };
              if (hits(JSON.stringify([failure ?? null, fed ?? null]))) found.push(`${key} failure`);
            }
          } else if (key.endsWith(':logs') && hits(await textOf(redis, key))) found.push(key);
          else if (key.endsWith(':events')) {
            for (const [, fields] of await redis.xrange(key, '-', '+')) {
              const event = Object.fromEntries(
                fields.flatMap((field, index) => (index % 2 === 0 ? [[field, fields[index + 1] ?? '']] : [])),
              );
              const { returnvalue: _result, ...others } = event;
              if (hits(JSON.stringify(others))) found.push(`${key} ${event.event}`);
            }
          }
        }
      });
      expect(found).toEqual([]);
      const letters = await app.deadLetters.list();
      expect(letters.length).toBeGreaterThan(3);
      for (const { error } of letters) expect(hits(JSON.stringify(error))).toBe(false);
    },
  );
});

describe('a sealed value', () => {
  const sealer = new Sealer([encryption({ keys: { k: randomBytes(32) }, current: 'k' })]);
  const own: CodecContext = { subject: 'input', id: 'job-1', task: 'mail' };

  test.each<[string, Partial<CodecContext>]>([
    ['another job', { id: 'job-2' }],
    ['another task', { task: 'pay' }],
    ['a result', { subject: 'result' }],
    ['a failure', { subject: 'failure' }],
    ['progress', { subject: 'progress' }],
    ['a line of a log', { subject: 'log' }],
    ['an id and a task that read alike', { id: 'job-1","mail', task: '' }],
  ])('opens in its own place, and not as that of %s', async (_what, other) => {
    const sealed = await sealer.encode({ amount: 1 }, own);
    expect(await sealer.decode(sealed, own)).toEqual({ amount: 1 });
    await expect(sealer.decode(sealed, { ...own, ...other })).rejects.toThrow(CorruptJobError);
  });

  test('of which any bit was changed does not open', async () => {
    const sealed = (await sealer.encode({ amount: 1 }, own)) as { 'umbel:sealed': string };
    const [name = '', text = ''] = sealed['umbel:sealed'].split(':');
    const bytes = Buffer.from(text, 'base64');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const value = { 'umbel:sealed': `${name}:${changed.toString('base64')}` };
      await expect(sealer.decode(value, own)).rejects.toThrow(CorruptJobError);
    }
    for (const length of [0, 1, 2, 13, 29]) {
      const value = { 'umbel:sealed': `${name}:${bytes.subarray(0, length).toString('base64')}` };
      await expect(sealer.decode(value, own)).rejects.toThrow(CorruptJobError);
    }
  });

  test('is never sealed twice alike', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => sealer.encode('same', own)));
    expect(new Set(all.map((sealed) => JSON.stringify(sealed))).size).toBe(100);
  });

  test('with more codecs than there are, or that is no JSON inside, is corrupt', async () => {
    const gzip = new Sealer([compression({ minBytes: 1 })]);
    const bomb = { 'umbel:sealed': `${Array(100_000).fill('gzip').join('+')}:AAAA` };
    await expect(gzip.decode(bomb, own)).rejects.toThrow('was written with too many codecs');
    const plain = new Sealer([{ name: 'plain', encode: (data) => data, decode: (data) => data }]);
    const broken = { 'umbel:sealed': `plain:${Buffer.from('{broken').toString('base64')}` };
    await expect(plain.decode(broken, own)).rejects.toThrow(CorruptJobError);
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`;
    const nested = { 'umbel:sealed': `plain:${Buffer.from(deep).toString('base64')}` };
    await expect(plain.decode(nested, own)).rejects.toThrow('nested deeper than 2000 levels');
  });
});

onEveryEngine('encrypted jobs', (engine) => {
  function encrypted(keys: Record<string, Buffer>, current: string, isSame = false) {
    const options = { codecs: [encryption({ keys, current })] };
    const app = isSame ? engine.sameApp(options) : engine.app(options);
    const handler = vi.fn(async (text: string) => `${text}!`);
    const echo = app.task({
      name: 'echo',
      input: z.string(),
      retry: { attempts: 3, delay: 1 },
      run: handler,
    });
    return { app, echo, handler };
  }

  test('whose inputs were swapped in the store fail, and no handler sees them', async () => {
    const { app, echo, handler } = encrypted({ k: randomBytes(32) }, 'k');
    const [first, second] = [await echo.delay('first'), await echo.delay('second')];
    const queue = engine.bareQueue('default');
    const jobs = await Promise.all([first, second].map(({ id }) => queue.getJob(id)));
    const [one, other] = jobs.map((job) => job?.data as { input: unknown });
    await jobs[0]?.updateData({ ...one, input: other?.input });
    await jobs[1]?.updateData({ ...other, input: one?.input });
    await app.worker().start();
    for (const result of [first, second]) {
      const error = (await result.get(soon).catch((reason: unknown) => reason)) as TaskFailedError;
      expect(error.cause.message).toContain('the codec "aes-256-gcm" cannot decode its input');
      expect((await result.info()).attempts).toBeGreaterThan(0);
    }
    expect(handler).not.toHaveBeenCalled();
  });

  test.runIf(engine.name === 'redis')('whose results were swapped in the store tell neither', async () => {
    const { app, echo } = encrypted({ k: randomBytes(32) }, 'k');
    await app.worker().start();
    const [first, second] = [await echo.delay('first'), await echo.delay('second')];
    expect([await first.get(soon), await second.get(soon)]).toEqual(['first!', 'second!']);
    const stored = (await engine.bareQueue('default').getJob(second.id))?.returnvalue;
    await plantResult(app, 'default', first.id, JSON.stringify(stored));
    await expect(first.get(soon)).rejects.toThrow(CorruptJobError);
    expect(await second.get(soon)).toBe('second!');
  });

  test('outlive the change of keys, until the old key is taken away', async () => {
    const keys = { old: randomBytes(32), new: randomBytes(32) };
    const before = encrypted({ old: keys.old }, 'old');
    const waiting = await before.echo.delay('a');
    const during = encrypted(keys, 'old', true);
    const sent = await during.echo.delay('b');
    const after = encrypted(keys, 'new', true);
    const fresh = await after.echo.delay('c');
    const keyOf = async (id: string) => {
      const job = await engine.bareQueue('default').getJob(id);
      const { input } = (job?.data ?? {}) as { input?: { 'umbel:sealed': string } };
      const bytes = Buffer.from(input?.['umbel:sealed'].split(':')[1] ?? '', 'base64');
      return bytes.subarray(1, 1 + (bytes[0] ?? 0)).toString();
    };
    expect(await Promise.all([waiting, sent, fresh].map(({ id }) => keyOf(id)))).toEqual([
      'old',
      'old',
      'new',
    ]);
    const worker = await after.app.worker().start();
    for (const [result, text] of [
      [waiting, 'a!'],
      [sent, 'b!'],
      [fresh, 'c!'],
    ] as const) {
      expect(await after.app.result(result.id).get(soon)).toBe(text);
    }
    await worker.close();
    const only = encrypted({ new: keys.new }, 'new', true);
    // Results were written with the new key; an input of the old one is lost with it.
    expect(await only.app.result(waiting.id).get(soon)).toBe('a!');
    const lost = await before.echo.delay('lost');
    await only.app.worker().start();
    await expect(only.app.result(lost.id).get(soon)).rejects.toThrow('there is no key "old"');
  });
});

describe('a masked error', () => {
  const mask = maskFor(new Set(['token']), [{ token: CANARY }]);

  test.each(Array.from({ length: CANARY.length + 1 }, (_, kept) => [kept]))(
    'that was cut after %i signs of a secret holds none of them',
    (kept) => {
      const before = '-'.repeat(10_000 - kept);
      const { message } = mask.error(recordError(new Error(`${before}${CANARY}${'-'.repeat(100)}`)));
      for (let length = 2; length <= kept; length += 1)
        expect(message).not.toContain(CANARY.slice(0, length));
      expect(message).toMatch(/characters\)$/);
    },
  );

  test('holds no secret in its code, its paths, or the keys of its data', () => {
    const masked = mask.error({
      name: 'ExpectedFailureError',
      message: 'm',
      code: CANARY,
      issues: [{ path: `input.${CANARY}`, message: 'm' }],
      failure: 'declined',
      data: { [CANARY]: 1, list: [{ [`is ${CANARY}`]: CANARY }] },
      cause: { name: 'Error', message: 'm', stack: CANARY },
    });
    expect(JSON.stringify(masked)).not.toContain(CANARY);
    expect(masked.data).toEqual({ '***': 1, list: [{ 'is ***': '***' }] });
  });
});
