import { randomBytes } from 'node:crypto';
import { chain, group } from '@umbel/canvas';
import { type Codec, compression, encryption } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;
const CANARY = 'canary-4711';

/** Every text that Redis holds for an app. */
async function textsOf(app: string): Promise<string> {
  const redis = new Redis(inject('redisUrl'));
  const texts: unknown[] = [];
  for await (const keys of redis.scanStream({ match: `umbel:{${app}}:*`, count: 1000 }) as AsyncIterable<
    string[]
  >) {
    for (const key of keys) {
      const type = await redis.type(key);
      if (type === 'hash') texts.push(await redis.hgetall(key));
      if (type === 'string') texts.push(await redis.get(key));
      if (type === 'list') texts.push(await redis.lrange(key, '0', '-1'));
      if (type === 'set') texts.push(await redis.smembers(key));
      if (type === 'zset') texts.push(await redis.zrange(key, '0', '-1'));
      if (type === 'stream') texts.push(await redis.call('XRANGE', key, '-', '+'));
    }
  }
  redis.disconnect();
  return JSON.stringify(texts);
}

onEveryEngine('with codecs', (engine) => {
  const key = () => randomBytes(32);

  function secretive(codecs: readonly Codec[]) {
    const app = engine.app({ codecs });
    const wrap = app.task({
      name: 'wrap',
      input: z.object({ text: z.string(), more: z.string().optional() }),
      run: async ({ text, more = '' }, ctx) => {
        ctx.log.info(`wrapping ${text}`);
        await ctx.progress({ text });
        return { text: `${text}!`, more };
      },
    });
    const break_ = app.task({
      name: 'break',
      input: z.object({ text: z.string() }),
      retry: { attempts: 2, delay: 1 },
      run: async ({ text }) => {
        throw new Error(`broke ${text}`, { cause: new Error(text) });
      },
    });
    return { app, wrap, break_ };
  }

  test('nothing of a call, a workflow, a report, a failure or a callback stands in the store as it is', async () => {
    const { app, wrap, break_ } = secretive([encryption({ keys: { k1: key() }, current: 'k1' })]);
    await app.worker().start();
    const text = CANARY;
    const single = await wrap.applyAsync({ text }, { link: wrap.s({ more: CANARY }) });
    expect(await single.get(soon)).toEqual({ text: `${text}!`, more: '' });
    expect((await single.logs())[0]).toContain(`wrapping ${text}`);
    for await (const progress of single.progress()) expect(progress).toEqual({ text });

    const flow = await chain(wrap, group([wrap.s({ more: CANARY }), wrap]), group([])).delay({ text });
    expect(await flow.get(soon)).toEqual([]);
    const steps = chain(wrap, group({ a: wrap.s({ more: CANARY }), b: chain(wrap, wrap) }));
    expect(await (await steps.delay({ text })).get(soon)).toEqual({
      a: { text: `${text}!!`, more: CANARY },
      b: { text: `${text}!!!`, more: '' },
    });

    const failed = await break_.delay({ text });
    await expect(failed.get(soon)).rejects.toMatchObject({
      cause: { message: `broke ${text}`, cause: { message: text } },
    });
    expect(await app.deadLetters.list()).toMatchObject([
      { input: { text }, error: { message: `broke ${text}` } },
    ]);
    const failing = await chain(wrap, break_, wrap).delay({ text });
    await expect(failing.get(soon)).rejects.toThrow(`broke ${text}!`);
    const linked = await vi.waitFor(() => app.result(`${single.id.slice(0, -2)}-success-0`).get(soon));
    expect(linked).toEqual({ text: `${text}!!`, more: CANARY });

    if (engine.name === 'redis') {
      const stored = await textsOf(app.name);
      expect(stored).toContain('umbel:sealed');
      expect(stored).not.toContain(CANARY);
      expect(stored).not.toContain(Buffer.from(CANARY).toString('base64').slice(0, 12));
    }
  });

  test('a key can be rotated while jobs of the old one wait', async () => {
    const keys = { old: key(), new: key() };
    const before = secretive([encryption({ keys: { old: keys.old }, current: 'old' })]);
    const waiting = await before.wrap.delay({ text: 'a' });
    const after = engine.sameApp({ codecs: [encryption({ keys, current: 'new' })] });
    after.task({ name: 'wrap', input: z.object({ text: z.string() }), run: async ({ text }) => text });
    await after.worker().start();
    expect(await after.result(waiting.id).get(soon)).toBe('a');
  });

  test('what cannot be decoded fails its job with the reason', async () => {
    const { wrap } = secretive([encryption({ keys: { k1: key() }, current: 'k1' })]);
    const lost = await wrap.delay({ text: 'a' });
    const other = engine.sameApp({ codecs: [] });
    other.task({ name: 'wrap', input: z.object({ text: z.string() }), run: async () => 1 });
    await other.worker().start();
    await expect(other.result(lost.id).get(soon)).rejects.toThrow(
      'its input was written with the codec "aes-256-gcm", which this app does not have',
    );
  });

  test('long values are compressed, short ones are left alone', async () => {
    const { app, wrap } = secretive([compression({ minBytes: 500 })]);
    await app.worker().start();
    const long = 'text '.repeat(2000);
    const short = await wrap.delay({ text: 'short' });
    const result = await wrap.delay({ text: long });
    expect(await result.get(soon)).toEqual({ text: `${long}!`, more: '' });
    await short.get(soon);
    const queue = engine.bareQueue('default');
    expect((await queue.getJob(short.id))?.data.input).toEqual({ text: 'short' });
    expect(JSON.stringify((await queue.getJob(result.id))?.data).length).toBeLessThan(500);
  });
});

onEveryEngine('sensitive values', (engine) => {
  test('are masked in what a validator or a hook says of them', async () => {
    const errors: string[] = [];
    const app = engine.app({
      sensitive: ['pin'],
      logger: { info() {}, warn() {}, error: (message) => errors.push(message) },
    });
    const says = (pin: string) => `bad pin ${pin}`;
    const task = app.task({
      name: 'task',
      input: z.object({
        pin: z.string().refine((pin) => pin !== '123456', { error: ({ input }) => says(String(input)) }),
      }),
      hooks: {
        before: (_, input) => {
          throw new Error(`saw ${JSON.stringify(input)}`);
        },
      },
      run: async () => null,
    });
    await app.worker().start();
    const refused = await engine.sameApp().send('task', { pin: '123456' });
    await expect(refused.get(soon)).rejects.toThrow('bad pin ***');
    await (await task.delay({ pin: '777777' })).get(soon);
    expect(errors.join()).toContain('saw {"pin":"***"}');
    const job = await engine.bareQueue('default').getJob(refused.id);
    expect(JSON.stringify([job?.failedReason, job?.stacktrace, job?.data.failure])).not.toContain('123456');
  });

  test('are masked in logs, progress and errors, and reach the handler', async () => {
    const app = engine.app({ sensitive: ['token'] });
    const pay = app.task({
      name: 'pay',
      input: z.object({ card: z.object({ number: z.string(), owner: z.string() }), token: z.string() }),
      sensitive: ['card'],
      run: async ({ card, token }, ctx) => {
        ctx.log.info(`paying with ${card.number}`, { token, card });
        await ctx.progress({ token, text: `for ${card.owner}`, done: 1 });
        if (card.owner === 'Eve') throw new Error(`refused ${card.number}`, { cause: { token } });
        return card.number.length;
      },
    });
    await app.worker().start();
    const card = { number: '4111-1111', owner: 'Adam' };
    const result = await pay.delay({ card, token: 's3cr3t' });
    expect(await result.get(soon)).toBe(9);
    expect((await result.logs())[0]?.slice(25)).toBe(
      'info paying with *** {"token":"***","card":{"number":"***","owner":"***"}}',
    );
    for await (const progress of result.progress())
      expect(progress).toEqual({ token: '***', text: 'for ***', done: 1 });
    const failed = await pay.delay({ card: { number: '4222-2222', owner: 'Eve' }, token: 's3cr3t' });
    await expect(failed.get(soon)).rejects.toThrow('refused ***');
    const job = await engine.bareQueue('default').getJob(failed.id);
    expect(JSON.stringify([job?.failedReason, job?.stacktrace, job?.data.failure])).not.toMatch(
      /4222-2222|s3cr3t/,
    );
  });
});
