/** What anybody may write to the streams and records of workers ends none of them, and leads them nowhere. */
import { createApp, encryption } from '@umbel/core';
import type { IQueueBackend } from 'bullmq';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, memory, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;
const CANARY = 'canary-8d1f';

const uuid = () => crypto.randomUUID();
const later = () => Date.now() + 5000;

function backendOf(engine: Engine, queue: string): IQueueBackend {
  return engine.bareQueue(queue).getBackend();
}

const order = (fields: Record<string, string | number>) => ({
  event: 'order',
  id: uuid(),
  kind: 'shutdown',
  args: '{}',
  until: later(),
  ...fields,
});

/** Orders that nobody should give: each with the fields of its event. */
const HOSTILE_ORDERS: Record<string, () => Record<string, string | number>> = {
  'without anything': () => ({ event: 'order' }),
  'of no kind': () => ({ event: 'order', id: uuid(), args: '{}', until: later() }),
  'of an unknown kind': () => order({ kind: 'evaluate' }),
  'of an inherited kind': () => order({ kind: 'constructor' }),
  'with an id of another form': () => order({ id: '__proto__' }),
  'with broken arguments': () => order({ args: '{' }),
  'with a list of arguments': () => order({ args: '[]' }),
  'with arguments that are too long': () => order({ args: JSON.stringify({ x: 'x'.repeat(70_000) }) }),
  'with arguments that are too deep': () =>
    order({ args: `{"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}` }),
  'for nobody': () => order({ to: '[]' }),
  'for whom cannot be read': () => order({ to: '"all"' }),
  'that is over': () => order({ until: Date.now() - 5000 }),
  'that never ends': () => order({ until: Date.now() + 1e12 }),
  'that ends at no time': () => order({ until: 'NaN' }),
  'to shut down in no time': () => order({ args: '{"jobsTimeoutMs":"soon"}' }),
  'to serve the internal queue': () => order({ kind: 'add-queue', args: '{"queue":"umbel"}' }),
  'to serve a list': () => order({ kind: 'add-queue', args: '{"queue":["a"]}' }),
  'to leave the internal queue': () => order({ kind: 'cancel-queue', args: '{"queue":"umbel"}' }),
  'to leave an inherited queue': () => order({ kind: 'cancel-queue', args: '{"queue":"constructor"}' }),
  'to run nothing': () => order({ kind: 'set-concurrency', args: '{"concurrency":0}' }),
  'to run an object': () =>
    order({ kind: 'set-concurrency', args: '{"concurrency":{"__proto__":{"min":1},"max":"x"}}' }),
  'in the form of a job': () => ({ event: 'completed', jobId: 'x', returnvalue: '{broken' }),
  'to terminate nothing': () => ({ event: 'terminate' }),
  'in no form': () => ({ event: 'error' }),
};

onEveryEngine('a worker', (engine) => {
  test.each(Object.keys(HOSTILE_ORDERS))('goes on after an order %s, and changes nothing', async (name) => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => 1 });
    const worker = await app.worker({ name: 'one', queues: { default: 3 } }).start();
    await backendOf(engine, 'umbel.control').publishEvent(HOSTILE_ORDERS[name]?.() ?? {}, 100);
    // Orders are read one after the other.
    expect(Object.keys((await app.inspect.ping(soon)).answers)).toEqual(['one']);
    expect(worker.state).toBe('running');
    expect((await app.inspect.workers())[0]?.queues).toEqual({ default: { concurrency: 3, active: 0 } });
    expect(await (await task.delay()).get(soon)).toBe(1);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test('obeys an order once that was written twice', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 1 });
    await app.worker({ name: 'one', queues: { default: 3 } }).start();
    const control = backendOf(engine, 'umbel.control');
    const id = uuid();
    const stats = order({ id, kind: 'stats' });
    await control.publishEvent(stats, 100);
    await control.publishEvent(stats, 100);
    await app.inspect.ping(soon);
    const [stream] = (await backendOf(engine, 'umbel.replies').readEvents('0', 10)) ?? [];
    const replies = (stream?.[1] ?? []).filter(([, fields]) => fields.includes(id));
    expect(replies).toHaveLength(1);
  });

  test('warns once of each reason, however many orders it ignores', async () => {
    const warnings: string[] = [];
    const logger = { info() {}, error() {}, warn: (message: string) => void warnings.push(message) };
    const app = engine.app({ logger });
    app.task({ name: 'task', run: async () => 1 });
    await app.worker({ name: 'one' }).start();
    warnings.length = 0;
    const control = backendOf(engine, 'umbel.control');
    for (let n = 0; n < 50; n += 1) await control.publishEvent(order({ kind: `x\u001b[31m${n}` }), 100);
    await app.inspect.ping(soon);
    expect(warnings).toEqual([
      `umbel "${app.name}": ignored a control message: this version does not know its kind`,
    ]);
  });
});

onEveryEngine('whoever asks', (engine) => {
  test('is not misled by answers in a strange form', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 1 });
    await app.worker({ name: 'one' }).start();
    const silent = uuid();
    const now = Date.now();
    const record = {
      name: 'two',
      host: 'h',
      pid: 1,
      version: '0',
      startedAt: now,
      seenAt: now,
      heartbeatMs: 9999,
    };
    await backendOf(engine, 'umbel.workers').setQueueMeta({ [`worker:${silent}`]: JSON.stringify(record) });
    const replies = backendOf(engine, 'umbel.replies');
    const asking = app.inspect.stats({ timeout: 1500 });
    const id = await vi.waitFor(async () => {
      const [stream] = (await backendOf(engine, 'umbel.control').readEvents('0', 1)) ?? [];
      const asked = stream?.[1].map(([, fields]) => fields).find((fields) => fields.includes('order'));
      if (asked === undefined) throw new Error('nothing was asked yet');
      return asked[asked.indexOf('id') + 1] ?? '';
    });
    const answers = ['{', '[]', '{"ok":{"__proto__":{"x":1}}}', `"${'x'.repeat(3_000_000)}"`, '{"error":7}'];
    for (const answer of answers) {
      await replies.publishEvent({ event: 'reply', to: id, from: '__proto__', answer }, 100);
      await replies.publishEvent({ event: 'reply', to: id, from: uuid(), answer }, 100);
    }
    await replies.publishEvent({ event: 'reply', to: id, answer: '{}' }, 100);
    await replies.publishEvent({ event: 'reply', to: '__proto__', from: silent, answer: '{}' }, 100);
    await replies.publishEvent({ event: 'completed', jobId: 'x', returnvalue: '{broken' }, 100);
    await replies.publishEvent(
      { event: 'reply', to: id, from: silent, answer: '{"ok":{"startedAt":"yesterday"}}' },
      100,
    );
    const found = await asking;
    expect(Object.keys(found.answers)).toEqual(['one']);
    expect(found.errors).toEqual({ two: 'its answer is invalid' });
    expect(found.missing).toEqual([]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test('is not misled by records in a strange form, and takes them away', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 1 });
    await app.worker({ name: 'one' }).start();
    const now = Date.now();
    const good = {
      name: 'two',
      host: 'h',
      pid: 1,
      version: '0',
      startedAt: now,
      seenAt: now,
      heartbeatMs: 9999,
    };
    const workers = backendOf(engine, 'umbel.workers');
    const planted: Record<string, string> = {
      'worker:__proto__': JSON.stringify(good),
      'worker:': JSON.stringify(good),
      [`worker:${uuid()}`]: '{',
      [`worker:${uuid()}`]: '"text"',
      [`worker:${uuid()}`]: JSON.stringify({ ...good, name: 7 }),
      [`worker:${uuid()}`]: JSON.stringify({ ...good, seenAt: 1e300 }),
      [`worker:${uuid()}`]: JSON.stringify({ ...good, seenAt: now + 1e9 }),
      [`worker:${uuid()}`]: JSON.stringify({ ...good, seenAt: now - 90_000_000 }),
      [`worker:${uuid()}`]: JSON.stringify({ ...good, pid: -1 }),
      [`worker:${uuid()}`]: 'x'.repeat(2_000_000),
    };
    const strange = uuid();
    await workers.setQueueMeta({
      ...planted,
      [`worker:${strange}`]: `{"__proto__":{"x":1},"name":"\\u001b[31mred","host":"h","pid":1,"version":"0","startedAt":${now},"seenAt":${now},"heartbeatMs":9999,"queues":{"__proto__":{"concurrency":1},"q":{"concurrency":"many"},"r":7}}`,
    });
    const seen = await app.inspect.workers();
    expect(seen.map(({ name }) => name)).toEqual(['[31mred', 'one']);
    expect(seen[0]?.queues).toEqual({
      q: { concurrency: 0, active: 0 },
      r: { concurrency: 0, active: 0 },
    });
    expect(({} as { x?: unknown }).x).toBeUndefined();
    const left = Object.keys(await workers.getQueueMeta()).filter((field) => field.startsWith('worker:'));
    expect(left).toHaveLength(2);
    expect((await app.inspect.queues()).map(({ name }) => name)).toEqual(['default', 'q', 'r']);
  });
});

test('no answer and no record holds a secret', async () => {
  const store = memory();
  const key = Buffer.alloc(32, 7);
  const app = createApp({
    name: 'secrets',
    connection: store,
    codecs: [encryption({ keys: { k1: key }, current: 'k1' })],
    sensitive: ['password'],
    logger: { info() {}, warn() {}, error() {} },
  });
  onTestFinished(() => app.close());
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const task = app.task({
    name: 'login',
    input: z.object({
      password: z.string().default(CANARY),
      default: z
        .string()
        .meta({ examples: [CANARY] })
        .optional(),
    }),
    run: async () => {
      await gone;
    },
  });
  await app.worker({ name: 'one' }).start();
  const result = await task.applyAsync(
    { password: CANARY },
    { headers: { token: CANARY }, displayName: CANARY },
  );
  await vi.waitFor(async () => expect(await result.state()).toBe('active'));
  await task.applyAsync({ password: CANARY }, { headers: { token: CANARY }, countdown: '1h' });
  const { inspect } = app;
  const all = {
    workers: await inspect.workers(),
    queues: await inspect.queues(),
    scheduled: await inspect.scheduled(),
    reserved: await inspect.reserved(),
    active: await inspect.active(soon),
    stats: await inspect.stats(soon),
    registered: await inspect.registered(soon),
    conf: await inspect.conf(soon),
  };
  letGo();
  const text = JSON.stringify(all);
  expect(text).not.toContain(CANARY);
  expect(text).not.toContain(key.toString('base64'));
  expect(all.conf.answers.one?.codecs).toEqual(['aes-256-gcm']);
  // A key that is called like a keyword is still told.
  expect(all.registered.answers.one?.[0]?.input).toMatchObject({
    properties: { password: { type: 'string' }, default: { type: 'string' } },
  });
});
