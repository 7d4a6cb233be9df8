/** Handlers that neither end nor wait for the engine: what holds the time of a test, and what does not. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp, TimeLimitError } from '@umbel/core';
import { NothingLeftError, type TestApp, testApp } from '@umbel/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const START = Date.UTC(2030, 0, 1);

/** The ways in which a handler waits for its signal, and for nothing else. */
const waits: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  'by a listener': (signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  'by onabort': (signal) =>
    new Promise((_, reject) => {
      signal.onabort = () => reject(signal.reason);
    }),
  'by once': (signal) => once(signal, 'abort'),
  'by a signal made of it': (signal) =>
    once(AbortSignal.any([signal, new AbortController().signal]), 'abort'),
};

describe('a handler that waits for nothing but its signal', () => {
  const app = createApp({ name: 'held' });
  let t: TestApp;
  let wait: (signal: AbortSignal) => Promise<unknown> = async () => {};
  const limited = app.task({
    name: 'limited',
    timeout: '30s',
    run: async (_, ctx) => void (await wait(ctx.signal)),
  });
  const unlimited = app.task({ name: 'unlimited', run: async (_, ctx) => void (await wait(ctx.signal)) });

  beforeEach(async () => {
    t = await testApp(app);
  });
  afterEach(() => t.close());

  test.each(Object.keys(waits))('is ended by its timeout, in virtual time: %s', async (way) => {
    wait = waits[way] ?? wait;
    await expect(t.run(limited)).rejects.toMatchObject({ cause: expect.any(TimeLimitError) });
    expect(t.now.getTime() - START).toBe(30_000);
    await expect(t.perform(limited)).rejects.toThrow(TimeLimitError);
  });

  test('lets time pass until somebody revokes it', async () => {
    wait = waits['by a listener'] ?? wait;
    const handle = await t.start(unlimited);
    await t.advance('1h');
    expect(t.now.getTime() - START).toBe(3_600_000);
    await handle.revoke({ terminate: true });
    await expect(handle.get()).rejects.toThrow('revoked');
  });

  test('is named where nothing is left that could bring its result', async () => {
    wait = waits['by a listener'] ?? wait;
    const handle = await t.start(unlimited);
    await t.runUntilIdle();
    const error = await handle.get().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NothingLeftError);
    expect(String(error)).toContain(
      'Task "unlimited" of app "held" (attempt 1) waits for the abort of its signal.',
    );
    await expect(t.perform(unlimited)).rejects.toThrow('No work is left, and "unlimited" has not ended.');
    await expect(t.close()).rejects.toThrow('handlers of app "held" were still running: unlimited');
    t = await testApp(app);
  });

  test('is left to the test where it has given the signal', async () => {
    wait = waits['by a listener'] ?? wait;
    const controller = new AbortController();
    const performed = t.perform(unlimited, undefined, { signal: controller.signal });
    await t.advance('1m');
    controller.abort(new Error('by the test'));
    await expect(performed).rejects.toThrow('by the test');
  });
});

describe('a handler that does real work and passes its signal on', () => {
  const server = createServer((_, response) => setTimeout(() => response.end('late'), 200));
  let url: string;
  beforeEach(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => void server.close());

  const works: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    'a timer of the machine': (signal) => sleep(200, 'late', { signal }),
    'a request': async (signal) => (await fetch(url, { signal })).text(),
    'a request on a connection that is open already': async (signal) => {
      await (await fetch(url)).text();
      return (await fetch(url, { signal })).text();
    },
    files: async (signal) => {
      for (let n = 0; n < 20; n += 1) await readFile(import.meta.filename, { signal });
      return 'late';
    },
  };

  test.each(Object.keys(works))('holds time: %s', async (work) => {
    const app = createApp({ name: 'working' });
    const task = app.task({ name: 'work', timeout: '1s', run: async (_, ctx) => works[work]?.(ctx.signal) });
    const t = await testApp(app);
    expect(await t.run(task)).toBe('late');
    expect(t.now.getTime()).toBe(START);
    await t.close();
  });
});

test('a handler that holds time for long is named', async () => {
  const app = createApp({ name: 'stuck' });
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const task = app.task({ name: 'waiter', run: () => ended });
  const t = await testApp(app);
  const result = t.run(task);
  const [warning] = (await once(process, 'warning')) as [Error];
  expect(warning).toMatchObject({ name: 'UmbelTestingWarning' });
  expect(warning.message).toContain(
    'Task "waiter" of app "stuck" (attempt 1) has blocked virtual time for 3 s',
  );
  end();
  await result;
  await t.close();
});

test('the promise of an app says that it was not awaited', async () => {
  const app = createApp({ name: 'hasty' });
  const task = app.task({ name: 'task', run: async () => 1 });
  const promise = testApp(app);
  const t = promise as unknown as TestApp; // as a program without types has it
  expect(() => t.run(task)).toThrow(
    'testApp of app "hasty" was not awaited: it returns a promise, which has no "run". Write `const t = await testApp(app)`.',
  );
  const opened = await promise;
  for (const member of Object.keys(opened))
    expect(() => t[member as keyof TestApp], member).toThrow('was not awaited');
  expect(() => t[Symbol.asyncDispose]).toThrow('was not awaited');
  await opened.close();
});
