/** What metrics tell after a known load. */
import { createServer } from 'node:net';
import { chain } from '@umbel/canvas';
import { type App, createApp } from '@umbel/core';
import { aggregate, prometheusMetrics } from '@umbel/core/prometheus';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';
import { MemoryBackend } from '../../../testing/src/memory/backend.js';
import { beginning, samplesOf } from '../support/metrics.js';

const soon = { timeout: '50s' } as const;
const CANARY = 'canary-4711-secret';

/** Its class has left `name` as it is in JavaScript's own. */
class Unroutable extends TypeError {}

function measured(app: App<never>, options?: Parameters<typeof prometheusMetrics>[1]) {
  const metrics = prometheusMetrics(app, options);
  onTestFinished(() => metrics.stop());
  return { ...metrics, samples: async () => samplesOf(await metrics.text()) };
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

onEveryEngine('metrics', (engine) => {
  test('count and time attempts by task, queue and what came of them', async () => {
    const app = engine.app();
    const { samples } = measured(app);
    const ok = app.task({ name: 'ok', queue: 'fast', input: z.unknown(), run: async () => 1 });
    const flaky = app.task({
      name: 'flaky',
      retry: { attempts: 3, delay: 1 },
      run: async (_, { attempt }) => {
        if (attempt < 3) throw new RangeError('again');
        return 1;
      },
    });
    const fails = app.task({
      name: 'fails',
      input: z.unknown(),
      run: async (): Promise<number> => {
        throw new Unroutable(CANARY);
      },
    });
    await app.worker().start();
    const sent = [
      await ok.delay(1),
      await ok.delay(2),
      await flaky.delay(),
      await fails.delay(1),
      await chain(ok, fails, ok).delay(1),
      await app.send('nobody'),
      await ok.applyAsync(1, { countdown: '20ms' }),
    ];
    await Promise.all(sent.map((result) => result.outcome(soon)));
    const after = await samples();
    expect(beginning(after, 'umbel_attempts_total')).toEqual({
      'umbel_attempts_total{task="fails",queue="default",state="failed"}': 2,
      'umbel_attempts_total{task="flaky",queue="default",state="completed"}': 1,
      'umbel_attempts_total{task="flaky",queue="default",state="retried"}': 2,
      'umbel_attempts_total{task="ok",queue="fast",state="completed"}': 4,
      'umbel_attempts_total{task="ok",queue="fast",state="upstream_failed"}': 1,
      'umbel_attempts_total{task="unknown",queue="default",state="failed"}': 1,
    });
    expect(beginning(after, 'umbel_retries_total')).toEqual({ 'umbel_retries_total{task="flaky"}': 2 });
    expect(beginning(after, 'umbel_failures_total')).toEqual({
      'umbel_failures_total{task="fails",error="Unroutable"}': 2,
      'umbel_failures_total{task="unknown",error="UnknownTaskError"}': 1,
    });
    expect(beginning(after, 'umbel_attempt_duration_seconds_count')).toEqual({
      'umbel_attempt_duration_seconds_count{task="fails",queue="default"}': 2,
      'umbel_attempt_duration_seconds_count{task="flaky",queue="default"}': 3,
      'umbel_attempt_duration_seconds_count{task="ok",queue="fast"}': 4,
      'umbel_attempt_duration_seconds_count{task="unknown",queue="default"}': 1,
    });
    expect(after.get('umbel_attempt_duration_seconds_bucket{le="+Inf",task="ok",queue="fast"}')).toBe(4);
    // Of first attempts, without the later steps of the chain.
    expect(beginning(after, 'umbel_wait_seconds_count')).toEqual({
      'umbel_wait_seconds_count{task="fails",queue="default"}': 1,
      'umbel_wait_seconds_count{task="flaky",queue="default"}': 1,
      'umbel_wait_seconds_count{task="ok",queue="fast"}': 4,
      'umbel_wait_seconds_count{task="unknown",queue="default"}': 1,
    });
    expect(after.get('umbel_wait_seconds_sum{task="ok",queue="fast"}')).toBeGreaterThan(0);
    expect([...after.keys()].join('\n')).not.toContain(CANARY);
  });

  test('tell what workers have under way, and how much they can', async () => {
    const app = engine.app();
    const { samples } = measured(app);
    const started = withResolvers();
    const over = withResolvers();
    const task = app.task({
      name: 'task',
      run: async () => {
        started.resolve();
        await over.promise;
      },
    });
    app.task({ name: 'other', queue: 'other', run: async () => 1 });
    const worker = await app.worker({ queues: { default: 7, other: 2 } }).start();
    await app.worker({ queues: { other: 1 } }).start();
    const sent = await task.delay();
    await started.promise;
    const during = await samples();
    expect(beginning(during, 'umbel_active')).toEqual({
      'umbel_active{queue="default"}': 1,
      'umbel_active{queue="other"}': 0,
    });
    expect(beginning(during, 'umbel_concurrency')).toEqual({
      'umbel_concurrency{queue="default"}': 7,
      'umbel_concurrency{queue="other"}': 3,
    });
    expect(worker.concurrency).toEqual({ default: 7, other: 2 });
    expect(during.get('umbel_event_loop_utilization')).toBeGreaterThan(0);
    expect(during.get('umbel_event_loop_utilization')).toBeLessThanOrEqual(1);
    expect(beginning(during, 'umbel_repairs_total')).toEqual({
      'umbel_repairs_total{kind="ended"}': 0,
      'umbel_repairs_total{kind="lost"}': 0,
      'umbel_repairs_total{kind="started"}': 0,
    });
    over.resolve();
    await sent.get(soon);
    expect((await samples()).get('umbel_active{queue="default"}')).toBe(0);
  });

  test('tell what queues hold, how old that is, and whether they are paused', async () => {
    const app = engine.app({ queues: ['slow'] });
    const task = app.task({ name: 'task', queue: 'slow', input: z.number(), run: async () => 1 });
    await task.sendMany([1, 2]);
    await task.applyAsync(3, { priority: 5 });
    await task.applyAsync(4, { countdown: '1h' });
    await app.queue('slow').pause();
    await new Promise((resolve) => setTimeout(resolve, 50)); // an age is a time
    const after = await measured(app).samples();
    expect(beginning(after, 'umbel_queue_jobs{queue="slow"')).toEqual({
      'umbel_queue_jobs{queue="slow",state="active"}': 0,
      'umbel_queue_jobs{queue="slow",state="completed"}': 0,
      'umbel_queue_jobs{queue="slow",state="delayed"}': 1,
      'umbel_queue_jobs{queue="slow",state="failed"}': 0,
      'umbel_queue_jobs{queue="slow",state="waiting"}': 3,
      'umbel_queue_jobs{queue="slow",state="waiting-children"}': 0,
    });
    expect(after.get('umbel_queue_oldest_age_seconds{queue="slow"}')).toBeGreaterThanOrEqual(0.045);
    expect(after.get('umbel_queue_oldest_age_seconds{queue="slow"}')).toBeLessThan(60);
    expect(after.get('umbel_queue_oldest_age_seconds{queue="default"}')).toBe(0);
    expect(beginning(after, 'umbel_queue_paused')).toEqual({
      'umbel_queue_paused{queue="default"}': 0,
      'umbel_queue_paused{queue="slow"}': 1,
      'umbel_queue_paused{queue="umbel"}': 0,
    });
    expect(after.get('umbel_store_up')).toBe(1);
  });

  test('know no age of steps that have waited for others', async () => {
    const app = engine.app();
    const first = app.task({ name: 'first', queue: 'first', input: z.unknown(), run: async () => 1 });
    const second = app.task({ name: 'second', queue: 'second', input: z.unknown(), run: async () => 1 });
    await app.worker({ queues: ['first'] }).start();
    const run = await chain(first, second).delay(1);
    await expect.poll(() => app.queue('second').counts(), { timeout: 10_000 }).toMatchObject({ waiting: 1 });
    const after = await measured(app).samples();
    expect(after.get('umbel_queue_jobs{queue="second",state="waiting"}')).toBe(1);
    expect(beginning(after, 'umbel_queue_oldest_age_seconds{queue="second"')).toEqual({});
    await run.revoke();
  });

  test('bear labels and names of their own, in a register of their own or in a given one', async () => {
    const app = engine.app();
    const own = measured(app, { prefix: 'shop_', labels: { service: 'shop' }, buckets: [1, 2] });
    expect((await own.samples()).get('shop_store_up{service="shop"}')).toBe(1);
    const register = new Registry();
    const given = measured(app, { register });
    expect((await register.metrics()).includes('umbel_store_up 1')).toBe(true);
    expect(given.register).toBe(register);
    given.stop();
    expect(await register.metrics()).toBe('\n');
    expect(samplesOf(await measured(app, { register }).text()).get('umbel_store_up')).toBe(1);
  });

  test('are served by a worker beside its probes', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => 1 });
    const metrics = measured(app);
    const worker = await app.worker({ health: { port: 0, host: '127.0.0.1', metrics } }).start();
    const at = (path: string) => fetch(`http://127.0.0.1:${worker.healthPort}${path}`);
    const answer = await at('/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(samplesOf(await answer.text()).get('umbel_store_up')).toBe(1);
    expect((await at('/readyz')).status).toBe(200);
    expect((await at('/')).status).toBe(404);
  });
});

test('of several processes become one', async () => {
  const connection = memory();
  const open = () => createApp({ name: 'app', connection });
  const apps = [open(), open()];
  onTestFinished(async () => void (await Promise.all(apps.map((app) => app.close()))));
  const all = apps.map((app) => measured(app, { labels: { service: 'shop' } }));
  const tasks = apps.map((app) => app.task({ name: 'task', input: z.number(), run: async () => 1 }));
  const results: unknown[] = [];
  for (const [index, app] of apps.entries()) {
    const worker = await app.worker({ concurrency: 3 }).start();
    const sent = (await tasks[index]?.sendMany([1, 2, 3])) ?? [];
    results.push(...(await Promise.all(sent.map((result) => result.get(soon)))));
    if (index === 0) await worker.close();
  }
  const jsons = await Promise.all(all.map((metrics) => metrics.json()));
  const whole = aggregate(JSON.parse(JSON.stringify(jsons)));
  const samples = samplesOf(await whole.text());
  const labels = 'task="task",queue="default",state="completed",service="shop"';
  expect(samples.get(`umbel_attempts_total{${labels}}`)).toBe(6);
  expect(samples.get('umbel_wait_seconds_count{task="task",queue="default",service="shop"}')).toBe(6);
  expect(samples.get('umbel_concurrency{queue="default",service="shop"}')).toBe(3);
  expect(samples.get('umbel_queue_jobs{queue="default",state="completed",service="shop"}')).toBe(6);
  expect(samples.get('umbel_store_up{service="shop"}')).toBe(1);
  expect(whole.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
});

test('read the store once a second, however many ask', async () => {
  const app = createApp({ name: 'app', connection: memory() });
  onTestFinished(() => app.close());
  const counts = vi.spyOn(MemoryBackend.prototype, 'getCounts');
  onTestFinished(() => void counts.mockRestore());
  const metrics = measured(app);
  await Promise.all([metrics.text(), metrics.text(), metrics.json()]);
  await metrics.text();
  expect(counts).toHaveBeenCalledTimes(2); // of `default` and of Umbel's own
  metrics.stop();
  await metrics.text();
  expect(counts).toHaveBeenCalledTimes(2);
});

/** A store that takes connections and never answers. */
async function silentStore(): Promise<string> {
  const server = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `redis://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

test.each([
  ['cannot be reached', async () => 'redis://127.0.0.1:1'],
  ['does not answer', silentStore],
])('leave queues out within two seconds while the store %s', async (_, open) => {
  const quiet = { info() {}, warn() {}, error() {} };
  const app = createApp({ name: 'app', connection: await open(), logger: quiet });
  onTestFinished(() => app.close());
  const { samples } = measured(app);
  const startedAt = performance.now();
  const found = await samples();
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  expect(found.get('umbel_store_up')).toBe(0);
  expect(beginning(found, 'umbel_queue')).toEqual({});
  expect(beginning(found, 'umbel_event_loop_utilization')).not.toEqual({});
});

test('that cannot be given are no reason for a worker to stop', async () => {
  const app = createApp({ name: 'app', connection: memory() });
  onTestFinished(() => app.close());
  app.task({ name: 'task', run: async () => 1 });
  const metrics = { contentType: 'text/plain', text: () => Promise.reject(new Error(CANARY)) };
  const worker = await app.worker({ health: { port: 0, host: '127.0.0.1', metrics } }).start();
  const answer = await fetch(`http://127.0.0.1:${worker.healthPort}/metrics`);
  expect([answer.status, await answer.text()]).toEqual([500, '{"error":"the metrics are not available"}\n']);
  expect(worker.state).toBe('running');
});

test.each([
  ['prefix', { prefix: '1-' }],
  ['labels', { labels: { queue: 'x' } }],
  ['labels', { labels: { 'a b': 'x' } }],
  ['labels', { labels: { a: 'x' }, register: new Registry() }],
  ['register', { register: {} as never }],
  ['buckets', { buckets: [] }],
  ['buckets', { buckets: [1, 1] }],
  ['buckets', { buckets: [-1] }],
])('refuse a wrong `%s`', (option, options) => {
  const app = createApp({ name: 'app', connection: memory() });
  expect(() => prometheusMetrics(app, options)).toThrow(`Expected \`${option}\` to be`);
  expect(() => app.worker({ health: { port: 0, metrics: {} as never } })).toThrow(
    'Expected `health.metrics` to be',
  );
});
