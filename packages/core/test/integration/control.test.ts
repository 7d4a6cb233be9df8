import { type App, ClosedError, InvalidOptionError, UnknownJobError, UnknownQueueError } from '@umbel/core';
import type { IQueueBackend } from 'bullmq';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;
const within = { timeout: 15_000 };

/** Tasks that run until they are let go, and how many do. */
function held(app: App) {
  let running = 0;
  let most = 0;
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const run = async (_input: unknown, { signal }: { signal: AbortSignal }) => {
    running += 1;
    most = Math.max(most, running);
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve());
    });
    await Promise.race([gone, aborted]);
    running -= 1;
    return 'done';
  };
  const slow = app.task({ name: 'slow', queue: 'slow', input: z.number(), run });
  const mail = app.task({ name: 'mail', queue: 'mail', input: z.number(), run });
  const until = (n: number) => vi.waitFor(() => expect(running).toBe(n), within);
  return { slow, mail, letGo, until, most: () => most };
}

onEveryEngine('the concurrency of workers', (engine) => {
  test('grows while every place is taken, and shrinks for the jobs that follow', async () => {
    const app = engine.app();
    const { slow, until, letGo, most } = held(app);
    await app.worker({ name: 'one', queues: { slow: 2 } }).start();
    const results = await slow.sendMany([1, 2, 3, 4, 5, 6]);
    await until(2);
    const asker = engine.sameApp();
    const grown = await asker.control.setConcurrency(4, { workers: 'one', queue: 'slow', ...soon });
    // Those that the new number lets in may have started when the worker answers.
    const active = grown.answers.one?.queues.slow?.active ?? 0;
    expect(grown).toEqual({
      answers: { one: { queues: { slow: { concurrency: 4, active } } } },
      errors: {},
      missing: [],
    });
    expect([2, 3, 4]).toContain(active);
    await until(4);
    expect((await asker.inspect.workers())[0]?.queues.slow?.concurrency).toBe(4);
    const shrunk = await asker.control.setConcurrency({ min: 1, max: 1 }, soon);
    expect(shrunk.answers.one?.queues.slow?.concurrency).toBe(1);
    letGo();
    await Promise.all(results.map((result) => result.get(soon)));
    expect(most()).toBe(4);
  });

  test('cannot be set for a queue that a worker does not serve', async () => {
    const app = engine.app();
    held(app);
    await app.worker({ name: 'one', queues: ['slow'] }).start();
    const { answers, errors } = await app.control.setConcurrency(4, { queue: 'mail', ...soon });
    expect(answers).toEqual({});
    expect(errors.one).toContain('"mail"');
  });
});

onEveryEngine('the queues of a worker', (engine) => {
  test('can be added and cancelled from another process', async () => {
    const app = engine.app();
    const { slow, mail, until, letGo } = held(app);
    await app.worker({ name: 'one', queues: ['slow'] }).start();
    const other = engine.sameApp();
    held(other);
    const asker = engine.sameApp();
    const first = await mail.delay(1);
    const added = await asker.control.addQueue('mail', { workers: ['one'], concurrency: 3, ...soon });
    expect(added.answers.one?.queues).toEqual({
      slow: { concurrency: 10, active: 0 },
      mail: { concurrency: 3, active: expect.any(Number) },
    });
    await until(1);
    expect(await first.state()).toBe('active');
    const cancelled = await asker.control.cancelQueue('mail', soon);
    expect(cancelled.answers.one?.queues).toEqual({ slow: { concurrency: 10, active: 0 } });
    expect((await asker.inspect.workers())[0]?.queues).toEqual({ slow: { concurrency: 10, active: 0 } });
    const second = await mail.delay(2);
    const third = await slow.delay(3);
    await until(2);
    expect(await third.state()).toBe('active');
    expect(await second.state()).toBe('waiting');
    expect((await asker.inspect.active(soon)).answers.one?.map(({ queue }) => queue)).toEqual([
      'mail',
      'slow',
    ]);
    letGo();
    expect(await first.get(soon)).toBe('done');
    expect(await second.state()).toBe('waiting');
    await asker.control.addQueue('mail', soon);
    expect(await second.get(soon)).toBe('done');
  });

  test('that leave can still be terminated, and are waited for', async () => {
    const app = engine.app();
    const { mail, until, letGo } = held(app);
    const worker = await app.worker({ name: 'one', queues: ['mail'] }).start();
    const [first, second] = await mail.sendMany([1, 2]);
    await until(2);
    await app.control.cancelQueue('mail', soon);
    await app.control.terminate(first?.id ?? '');
    await until(1);
    await vi.waitFor(async () => expect(await first?.state()).toBe('revoked'), within);
    const closing = worker.close();
    letGo();
    await closing;
    expect(await second?.state()).toBe('completed');
  });

  test('that an app does not have are an error of its worker', async () => {
    const app = engine.app({ queues: ['slow', 'mail'] });
    held(app);
    await app.worker({ name: 'one', queues: ['slow'] }).start();
    const added = await app.control.addQueue('elsewhere', soon);
    expect(added.answers).toEqual({});
    expect(added.errors.one).toContain('elsewhere');
    const cancelled = await app.control.cancelQueue('mail', soon);
    expect(cancelled.errors.one).toContain('mail');
  });
});

onEveryEngine('a shutdown', (engine) => {
  test('ends the workers that are named, once their jobs have ended, and no other', async () => {
    const app = engine.app();
    const { slow, until, letGo } = held(app);
    const one = await app.worker({ name: 'one', queues: { slow: 1 } }).start();
    const result = await slow.delay(1);
    await until(1);
    const other = engine.sameApp();
    held(other);
    const two = await other.worker({ name: 'two', queues: { mail: 1 } }).start();
    const asker = engine.sameApp();
    const seen = held(asker).slow;
    expect(await asker.control.shutdown({ workers: 'one', ...soon })).toEqual({
      answers: { one: { active: 1 } },
      errors: {},
      missing: [],
    });
    await vi.waitFor(() => expect(one.state).toBe('closing'), within);
    expect((await asker.inspect.active({ workers: 'one', ...soon })).answers.one).toHaveLength(1);
    letGo();
    expect(await one.closed).toBe('control');
    expect(await asker.result(seen, result.id).get(soon)).toBe('done');
    expect(two.state).toBe('running');
    expect((await asker.inspect.workers()).map(({ name }) => name)).toEqual(['two']);
    await asker.control.shutdown(soon);
    expect(await two.closed).toBe('control');
    expect(await asker.inspect.workers()).toEqual([]);
  });

  test('can be told not to wait: what runs is given back, uncharged', async () => {
    const app = engine.app();
    const { slow, until } = held(app);
    const worker = await app.worker({ name: 'one', queues: { slow: 1 } }).start();
    const result = await slow.delay(1);
    await until(1);
    const asker = engine.sameApp();
    held(asker);
    await asker.control.shutdown({ jobsTimeout: 0, ...soon });
    expect(await worker.closed).toBe('control');
    expect(await asker.result(result.id).state()).toMatch(/^(?:waiting|delayed)$/);
  });

  test('is not obeyed by a worker that starts later', async () => {
    const app = engine.app();
    held(app);
    const one = await app.worker({ name: 'one' }).start();
    await app.control.shutdown(soon);
    await one.closed;
    const later = await engine.sameApp();
    held(later);
    const two = await later.worker({ name: 'two' }).start();
    expect(Object.keys((await later.inspect.ping(soon)).answers)).toEqual(['two']);
    expect(two.state).toBe('running');
  });
});

onEveryEngine('jobs and queues', (engine) => {
  test('are revoked for good, one and many, and those that have ended are not', async () => {
    const app = engine.app();
    const { slow, letGo } = held(app);
    const results = await slow.sendMany([1, 2, 3, 4]);
    const [one, two, three, four] = results.map(({ id }) => id);
    const asker = engine.sameApp();
    held(asker);
    expect(await asker.control.revoke(one ?? '')).toBe(1);
    expect(await asker.control.revoke([two ?? '', three ?? '', two ?? ''])).toBe(2);
    letGo();
    await app.worker().start();
    expect(await results[3]?.get(soon)).toBe('done');
    for (const result of results.slice(0, 3)) await expect(result.get(soon)).rejects.toThrow('revoked');
    expect(await asker.control.revoke([four ?? '', one ?? ''])).toBe(0);
    const last = await slow.applyAsync(5, { countdown: '1h' });
    await expect(asker.control.revoke(['nothing', last.id])).rejects.toThrow(UnknownJobError);
    await vi.waitFor(async () => expect(await last.state()).toBe('revoked'), within);
  });

  test('are revoked by tag, and terminated', async () => {
    const app = engine.app();
    const { slow, until } = held(app);
    const worker = await app.worker({ queues: ['slow'] }).start();
    const one = await slow.applyAsync(1, { tags: ['red'] });
    const two = await slow.delay(2);
    await until(2);
    const asker = engine.sameApp();
    expect(await asker.control.revokeByTag('red', { terminate: true })).toBe(1);
    await until(1);
    await expect(one.get(soon)).rejects.toThrow('revoked');
    expect(await asker.control.terminate(two.id)).toBe(1);
    await expect(two.get(soon)).rejects.toThrow('revoked');
    await until(0);
    expect(worker.state).toBe('running');
  });

  test('are limited and paused as a whole', async () => {
    const app = engine.app();
    const { slow, letGo, until, most } = held(app);
    await app.control.limitConcurrency('slow', 1);
    await app.control.pause('slow');
    await app.worker({ queues: ['slow'] }).start();
    const results = await slow.sendMany([1, 2]);
    expect((await app.inspect.queues()).find(({ name }) => name === 'slow')).toMatchObject({
      isPaused: true,
      concurrency: 1,
    });
    expect(await results[0]?.state()).toMatch(/waiting|paused/);
    await app.control.resume('slow');
    await until(1);
    letGo();
    await Promise.all(results.map((result) => result.get(soon)));
    expect(most()).toBe(1);
  });

  test('that cannot be are refused before anything is told', async () => {
    const app = engine.app();
    held(app);
    const { control } = app;
    await expect(control.revoke(7 as never)).rejects.toThrow(InvalidOptionError);
    await expect(control.revoke([''])).rejects.toThrow('`id`');
    await expect(control.rateLimit('slow', 'often' as never)).rejects.toThrow('`rate`');
    await expect(control.pause('nowhere')).rejects.toThrow(UnknownQueueError);
    await expect(control.setConcurrency(0)).rejects.toThrow('`concurrency`');
    await expect(control.setConcurrency({ min: 3, max: 2 })).rejects.toThrow('`concurrency.max`');
    await expect(control.addQueue('a b')).rejects.toThrow('`queue`');
    await expect(control.addQueue('umbel')).rejects.toThrow('`queue`');
    await expect(control.cancelQueue('')).rejects.toThrow('`queue`');
    await expect(control.shutdown({ jobsTimeout: -1 })).rejects.toThrow('`jobsTimeout`');
    await expect(control.shutdown({ timeout: 'soon' as never })).rejects.toThrow('`timeout`');
  });
});

/** A worker that told of itself just now, and does not answer. */
async function plantSilent(engine: Engine, name: string): Promise<void> {
  const now = Date.now();
  const record = { name, host: 'h', pid: 1, version: '0', startedAt: now, seenAt: now, heartbeatMs: 10_000 };
  const backend = engine.bareQueue('umbel.workers').getBackend();
  await backend.setQueueMeta({ [`worker:${crypto.randomUUID()}`]: JSON.stringify(record) });
}

onEveryEngine('a worker that does not answer', (engine) => {
  test('is named as missing when the time is over, beside the answers of the others', async () => {
    const app = engine.app();
    held(app);
    await app.worker({ name: 'one' }).start();
    await plantSilent(engine, 'silent');
    const startedAt = performance.now();
    const { answers, missing } = await app.inspect.ping({ timeout: 500 });
    expect(performance.now() - startedAt).toBeGreaterThan(480);
    expect(Object.keys(answers)).toEqual(['one']);
    expect(missing).toEqual(['silent']);
    const order = await app.control.addQueue('mail', { workers: ['silent', 'unknown'], timeout: 100 });
    expect(order).toEqual({ answers: {}, errors: {}, missing: ['silent', 'unknown'] });
  });

  test('does not keep an app that shuts its own worker down from the answers', async () => {
    const app = engine.app();
    held(app);
    const worker = await app.worker({ name: 'one' }).start();
    await plantSilent(engine, 'silent');
    expect(await app.control.shutdown({ timeout: 500 })).toEqual({
      answers: { one: { active: 0 } },
      errors: {},
      missing: ['silent'],
    });
    expect(await worker.closed).toBe('control');
  });

  test('is not waited for when the app is closed', async () => {
    const app = engine.app();
    await plantSilent(engine, 'silent');
    const isRefused = expect(app.inspect.ping({ timeout: '20s' })).rejects.toThrow(ClosedError);
    const control = engine.bareQueue('umbel.control').getBackend();
    await vi.waitFor(async () => expect(await eventsOf(control)).toContain('order'), within);
    await app.close();
    await isRefused;
  });
});

/** The kinds of the events in a stream. */
async function eventsOf(backend: IQueueBackend): Promise<(string | undefined)[]> {
  const [stream] = (await backend.readEvents('0', 1)) ?? [];
  return (stream?.[1] ?? []).map(([, fields]) => fields[fields.indexOf('event') + 1]);
}
