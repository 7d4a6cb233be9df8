/** The index of tags: what is found by it, for how long, and how large it gets. */
import { group } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { type BackendFactory, createRedisBackend, type IQueueBackend, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { startRedis } from '../../../../test/support/redis-server.js';
import { scriptsOf } from '../../../../test/support/redis-use.js';
import { backendsOf, type Clock, systemClock } from '../../../testing/src/memory/index.js';
import { Store } from '../../../testing/src/memory/store.js';
import { AppCore } from '../../src/app/core.js';
import { systemRuntime } from '../../src/client/runtime.js';
import { type TagPrimitives, tagPrimitivesOf } from '../../src/store/primitives/tags.js';

const soon = { timeout: '50s' } as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const kept = { completedMs: HOUR_MS, failedMs: 7 * DAY_MS };

async function found(app: Pick<App, 'find'>, tag: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of app.find({ tag })) ids.push(id);
  return ids;
}

onEveryEngine('the index of tags', (engine) => {
  function primitives(): TagPrimitives {
    const own = tagPrimitivesOf(engine.bareQueue('umbel.tags').getBackend()) as TagPrimitives;
    return {
      noteTags: (notes) => own.noteTags(notes),
      findTagged: (...args) => own.findTagged(...args),
      checkTags: (...args) => own.checkTags(...args),
    };
  }
  const hash = (name: string) => name.padEnd(32, '-');

  test('gives what was noted, the latest first, page by page', async () => {
    engine.app();
    const { noteTags, findTagged } = primitives();
    const [one, two] = [hash('one'), hash('two')];
    const notes = Array.from({ length: 25 }, (_, n) => ({
      tags: n % 5 === 0 ? [one, two] : [one],
      queue: 'default',
      id: `job ${n}`,
      at: 1_893_456_000_000 + Math.floor(n / 3),
      checkAt: 0,
    }));
    await noteTags(notes);
    await noteTags(notes.slice(3, 9)); // which changes nothing
    const all = await findTagged(one, 100, undefined, true);
    expect(all).toHaveLength(25);
    expect(all.map(({ at }) => at)).toEqual(notes.map(({ at }) => at).toReversed());
    const pages: (typeof all)[number][] = [];
    for (let last: (typeof all)[number] | undefined; ; last = pages.at(-1)) {
      const page = await findTagged(one, 7, last, true);
      pages.push(...page);
      if (page.length < 7) break;
    }
    expect(pages).toEqual(all);
    expect(await findTagged(one, 3, all[10], false)).toEqual(all.slice(10, 13));
    expect((await findTagged(two, 100, undefined, true)).map(({ id }) => id)).toEqual([
      'job 20',
      'job 15',
      'job 10',
      'job 5',
      'job 0',
    ]);
    expect(await findTagged(hash('three'), 10, undefined, true)).toEqual([]);
  });

  test('loses an entry when its job is gone, and not before', async () => {
    const app = engine.app({ resultTtl: '1h', failureTtl: '7d' });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    const { noteTags, findTagged, checkTags } = primitives();
    const tag = hash('tag');
    const now = Date.now();
    const waiting = await task.applyAsync(1, { countdown: '60d' });
    const call = await task.delay(1);
    const note = (id: string) => ({ tags: [tag, hash('more')], queue: 'default', id, at: now, checkAt: now });
    await noteTags([note(waiting.id), note(call.id), note('gone')]);
    const ids = async () => (await findTagged(tag, 10, undefined, true)).map(({ id }) => id).sort();
    expect(await checkTags(now - 1, 10, kept)).toBe(0);
    expect(await checkTags(now, 10, kept)).toBe(3);
    expect(await ids()).toEqual([waiting.id, call.id].sort());
    await app.worker().start();
    await call.get(soon);
    expect(await checkTags(now + 9 * 60_000, 10, kept)).toBe(0);
    expect(await checkTags(now + 11 * 60_000, 10, kept)).toBe(2); // one has ended: it is kept for an hour
    expect(await checkTags(now + 30 * 60_000, 10, kept)).toBe(1);
    await call.forget();
    let looked = 0;
    for (let at = now; at < now + 40 * DAY_MS; at += HOUR_MS) looked += await checkTags(at, 10, kept);
    expect(looked).toBeLessThan(150);
    expect(await ids()).toEqual([waiting.id]);
    await waiting.revoke();
    await waiting.outcome(soon);
    await waiting.forget();
    await checkTags(now + 50 * DAY_MS, 10, kept);
    expect(await ids()).toEqual([]);
    expect(await findTagged(hash('more'), 10, undefined, true)).toEqual([]);
  });

  test('is written with the call, and has members that are read while they are sent', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    const tags = Array.from({ length: 20 }, (_, n) => `tag ${n}`);
    const call = await task.applyAsync(1, { tags });
    for (const tag of [tags[0], tags[19]]) expect(await found(app, tag as string)).toEqual([call.id]);
    const some = await task.sendMany([1, 2, 3], { tags: ['many'] });
    expect((await found(app, 'many')).sort()).toEqual(some.map(({ id }) => id).sort());
    async function* members() {
      for (let n = 0; n < 120; n += 1) yield n === 60 ? task.tag('lazy') : task;
    }
    const run = await group(members()).delay(1);
    expect(await found(app, 'lazy')).toEqual([run.id]);
    expect(await app.revoke({ tag: 'lazy' })).toBe(1);
  });

  test('gives what older versions have noted by the day, too', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    const { createHash } = await import('node:crypto');
    const old = await task.applyAsync(1, { countdown: '1h' });
    const next = await task.applyAsync(1, { countdown: '1h', tags: ['red'] });
    const entry = `${createHash('sha256').update('red').digest('base64url').slice(0, 32)}.${Math.floor(Date.now() / DAY_MS)}`;
    const queue = engine.bareQueue('umbel.tags');
    await queue.add('tag', { umbel: 1, input: { tag: 'red' } }, { jobId: entry, delay: 8 * DAY_MS });
    await queue.getBackend().addLog(entry, `default/${old.id}`, 1000);
    expect(await found(app, 'red')).toEqual([next.id, old.id]);
    expect(await app.revoke({ tag: 'red' })).toBe(1); // the other one does not bear it
    await queue.remove(entry);
    expect(await found(app, 'red')).toEqual([next.id]);
  });

  test('is cleaned by a repair, all of it', async () => {
    const app = engine.app({ resultTtl: '1s' });
    const { noteTags, findTagged } = primitives();
    const notes = Array.from({ length: 450 }, (_, n) => ({
      tags: [hash(`t${n}`)],
      queue: 'default',
      id: `${n}`,
      at: Date.now() - DAY_MS,
      checkAt: Date.now() - HOUR_MS,
    }));
    await noteTags(notes);
    await app.repair();
    for (const { tags } of notes) expect(await findTagged(tags[0] ?? '', 1, undefined, true)).toEqual([]);
  });
});

test('without an index of the store tags are noted by the day', async () => {
  const inner = memory();
  const hidden = new Set(['noteTags', 'findTagged', 'checkTags']);
  const plain = (backend: IQueueBackend): IQueueBackend =>
    new Proxy(backend, {
      has: (target, key) => !hidden.has(String(key)) && key in target,
      get: (target, key) => {
        const value = Reflect.get(target, key, target);
        if (key === 'forQueue')
          return (...args: Parameters<IQueueBackend['forQueue']>) => plain(target.forQueue(...args));
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const connection = ((...args: Parameters<BackendFactory>) => plain(inner(...args))) as BackendFactory;
  const app = createApp({ name: 'plain', connection, logger: { info() {}, warn() {}, error() {} } });
  const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
  const call = await task.applyAsync(1, { tags: ['red', 'blue'] });
  expect(await found(app, 'blue')).toEqual([call.id]);
  expect(await found(app, 'green')).toEqual([]);
  await app.close();
});

describe('in simulated time', () => {
  /** An app in memory whose time is set. */
  function simulated() {
    let now = Date.UTC(2030, 0, 1);
    const clock: Clock = { ...systemClock, now: () => now } as Clock;
    const store = new Store(clock, undefined);
    const app = new AppCore(
      { name: 'level', connection: backendsOf(store), resultTtl: '1d', failureTtl: '1d', logger: quiet },
      { ...systemRuntime, clock: { ...systemRuntime.clock, now: () => now } },
    );
    const size = () => store.queue('umbel:{level}:umbel.tags').tags.size;
    const pass = (ms: number) => {
      now += ms;
    };
    return { app, size, pass };
  }
  const quiet = { info() {}, warn() {}, error() {} };

  test('the index of 1,000 tags a day levels off, and what waits is found all the time', async () => {
    const { app, size, pass } = simulated();
    const waiting = await app.send('task', 1, { countdown: '60d', tags: ['waits'] });
    const sizes: number[] = [];
    for (let day = 0; day < 30; day += 1) {
      for (let part = 0; part < 10; part += 1) {
        for (let n = 0; n < 100; n += 1) await app.send('task', 1, { tags: [`tag ${day} ${part} ${n}`] });
        pass(DAY_MS / 10);
        await app.queue('default').purge(); // they are gone
      }
      sizes.push(size());
    }
    const level = Math.max(...sizes.slice(2, 10));
    expect(level).toBeLessThan(2 * 2 * 1000);
    expect(Math.max(...sizes.slice(20))).toBeLessThanOrEqual(level * 1.1);
    const ids: string[] = [];
    for await (const { id } of app.find({ tag: 'waits' })) ids.push(id);
    expect(ids).toEqual([waiting.id]);
    expect(await app.revoke({ tag: 'waits' })).toBe(1);
    await app.close();
  });
});

describe('on Redis', () => {
  test('calls queue their tags; a search and a repair move them into the index', async () => {
    const redis = new Redis(inject('redisUrl'));
    const name = `queued-${Date.now()}`;
    const app = createApp({
      name,
      connection: inject('redisUrl'),
      logger: { info() {}, warn() {}, error() {} },
    });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    await task.delay(1); // connects
    const queued = `umbel:{${name}}:umbel.tags:queued`;
    const send = (tag: string) => task.applyAsync(1, { tags: [tag, 'all'] });
    const calls = await Promise.all(Array.from({ length: 200 }, (_, n) => send(`call ${n}`)));
    expect(await redis.llen(queued)).toBe(200);
    expect((await found(app, 'all')).sort()).toEqual(calls.map(({ id }) => id).sort());
    expect(await found(app, 'call 7')).toEqual([calls[7]?.id]);
    expect(await redis.llen(queued)).toBe(0);
    await send('again');
    await app.repair();
    expect(await redis.llen(queued)).toBe(0);
    expect(await found(app, 'again')).toHaveLength(1);
    await app.close();
    const keys = await redis.keys(`umbel:{${name}}:*`);
    await redis.unlink(keys);
    redis.disconnect();
  });

  test.each([
    ['by the command that adds them', false],
    ['before they are added, where no batches are possible', true],
  ])('the tags of calls are noted %s', async (_, isAlone) => {
    const sent: string[] = [];
    const connection = ((name, given, more) => {
      const url = inject('redisUrl');
      const backend = createRedisBackend(name, { ...given, connection: { url } }, more);
      // Its scripts have to declare their keys, so nothing is batched.
      if (isAlone) Object.defineProperty(backend.connection, 'databaseType', { value: 'dragonfly' });
      void backend.connection.client.then((client) => {
        const { runCommand } = client;
        client.runCommand = (command, args) => {
          if (/TagNotes|\badd/.test(command)) sent.push(command.replace(/:\d.*/, ''));
          return runCommand.call(client, command, args);
        };
      });
      return backend;
    }) as typeof createRedisBackend;
    const app = createApp({
      name: `order-${Date.now()}`,
      connection,
      logger: { info() {}, warn() {}, error() {} },
    });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    await task.delay(1); // connects
    sent.splice(0);
    const send = (n: number) => task.applyAsync(n, { tags: ['red', `number ${n}`] });
    const calls = await Promise.all([1, 2, 3].map(send));
    expect(sent[0]).toBe(isAlone ? 'umbel:pushTagNotes' : 'umbel:batch:addStandardJob');
    if (!isAlone) expect(sent).toHaveLength(1);
    const more = await task.sendMany([1, 2], { tags: ['red'] });
    calls.push(...more, await send(4), await task.applyAsync(5, { tags: ['red'], countdown: '1h' }));
    const sealed = { tags: ['red'], priority: 3, idempotencyKey: 'one', headers: { a: 'b' } };
    calls.push(await task.applyAsync({ tags: ['no'] }, sealed));
    expect((await found(app, 'red')).sort()).toEqual(calls.map(({ id }) => id).sort());
    expect(await found(app, 'no')).toEqual([]);
    expect(await found(app, 'number 2')).toEqual([calls[1]?.id]);
    for (const { id } of calls) await app.result(id).revoke();
    await app.close();
  });

  test('a call whose tags cannot be noted fails, and no other call of its command', async () => {
    const redis = new Redis(inject('redisUrl'));
    const name = `refused-${Date.now()}`;
    const app = createApp({
      name,
      connection: inject('redisUrl'),
      logger: { info() {}, warn() {}, error() {} },
    });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    await task.delay(1); // connects
    const queued = `umbel:{${name}}:umbel.tags:queued`;
    await redis.set(queued, 'of another program');
    const [plain, tagged] = await Promise.allSettled([task.delay(2), task.applyAsync(3, { tags: ['red'] })]);
    expect(plain.status).toBe('fulfilled');
    expect(tagged).toMatchObject({ reason: { message: expect.stringContaining('WRONGTYPE') } });
    await redis.del(queued);
    await task.applyAsync(3, { tags: ['red'] });
    expect(await found(app, 'red')).toHaveLength(1);
    await app.close();
    const keys = await redis.keys(`umbel:{${name}}:*`);
    await redis.unlink(keys);
    redis.disconnect();
  });

  test('senders move what is queued once it is much', async () => {
    const redis = new Redis(inject('redisUrl'));
    const name = `many-${Date.now()}`;
    const app = createApp({
      name,
      connection: inject('redisUrl'),
      logger: { info() {}, warn() {}, error() {} },
    });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    const inputs = Array.from({ length: 500 }, (_, n) => n);
    for (let part = 0; part < 12; part += 1) await task.sendMany(inputs, { tags: ['many'] });
    await expect.poll(() => redis.llen(`umbel:{${name}}:umbel.tags:queued`)).toBeLessThanOrEqual(5000);
    expect(await redis.zcard(`umbel:{${name}}:umbel.tags:index`)).toBeGreaterThan(0);
    await app.close();
    const keys = await redis.keys(`umbel:{${name}}:*`);
    await redis.unlink(keys);
    redis.disconnect();
  });

  test('commands of the index stay far below 10 ms, and nothing is left behind', async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const redis = new Redis(server.url);
    const name = `tags-${Date.now()}`;
    const app = createApp({
      name,
      connection: server.url,
      logger: { info() {}, warn() {}, error() {} },
    });
    const queue = new Queue('umbel.tags', {
      connection: { url: server.url },
      prefix: `umbel:{${name}}`,
    });
    const { noteTags } = tagPrimitivesOf(queue.getBackend()) as TagPrimitives;
    const now = Date.now();
    const jobs = sized(5000, 20_000);
    for (let start = 0; start < jobs; start += 25) {
      await noteTags(
        Array.from({ length: 25 }, (_, n) => ({
          tags: Array.from({ length: 20 }, (_, tag) => `${start + n}-${tag}`.padEnd(32, '-')),
          queue: 'default',
          id: `${start + n}`,
          at: now - DAY_MS,
          checkAt: now - HOUR_MS,
        })),
      );
    }
    const { count, meanMs } = await scriptsOf(redis, () => app.repair());
    expect(count).toBeGreaterThan(jobs / 50);
    expect(meanMs).toBeLessThan(10);
    expect(await redis.keys(`umbel:{${name}}:umbel.tags:index`)).toEqual([]);
    expect(await redis.keys(`umbel:{${name}}:umbel.tags:due`)).toEqual([]);
    await queue.close();
    await app.close();
    redis.disconnect();
  });
});
