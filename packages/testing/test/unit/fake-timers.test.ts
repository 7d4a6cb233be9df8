/** The timers of the process are faked: an app under test has its own time, and works all the same. */
import { createApp } from '@umbel/core';
import { FakedTimersError, testApp } from '@umbel/testing';
import { afterEach, describe, expect, test, vi } from 'vitest';

const replaced = ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;
const machine = Object.fromEntries(replaced.map((name) => [name, globalThis[name]]));

afterEach(() => {
  vi.useRealTimers();
  vi.resetModules();
  // Fakes over virtual timers put those back when they are taken away.
  Object.assign(globalThis, machine);
});

/** All that Vitest can fake in its processes. */
const ALL = [
  ...([
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ] as const),
  ...(['Date', 'performance', 'queueMicrotask', 'hrtime'] as const),
];
const fakes: Record<string, () => void> = {
  'as by default': () => vi.useFakeTimers(),
  all: () => vi.useFakeTimers({ toFake: [...ALL] }),
  'nothing but Date': () => vi.useFakeTimers({ toFake: ['Date'], now: 0 }),
};
const moments = [
  'before the packages are loaded',
  'before the app is opened',
  'after the app is opened',
] as const;
const cases = Object.keys(fakes).flatMap((fake) => moments.map((moment) => [fake, moment] as const));

describe.each(cases)('faked: %s, %s', (fake, moment) => {
  const fakeNow = (at: (typeof moments)[number]) => {
    if (at === moment) fakes[fake]?.();
  };

  test.each([false, true])('an app works and is closed, with virtual timers: %s', async (virtualTimers) => {
    fakeNow('before the packages are loaded');
    const isLoadedFaked = moment === 'before the packages are loaded';
    if (isLoadedFaked) vi.resetModules();
    const core = isLoadedFaked ? await import('@umbel/core') : { createApp };
    const testing = isLoadedFaked ? await import('@umbel/testing') : { testApp };
    const app = core.createApp({ name: 'faked' });
    let tries = 0;
    const flaky = app.task({
      name: 'flaky',
      timeout: '1h',
      retry: { attempts: 3, delay: '1m', jitter: false },
      run: async (_, ctx) => {
        await ctx.sleep('10s');
        tries += 1;
        if (tries < 3) throw new Error('again');
        return tries;
      },
    });
    fakeNow('before the app is opened');
    const t = await testing.testApp(app, { virtualTimers });
    fakeNow('after the app is opened');
    const handle = await flaky.applyAsync(undefined, { countdown: '1d' });
    expect(await handle.get()).toBe(3);
    expect(t.attempts).toHaveLength(3);
    const later = await t.start(flaky);
    await t.advance('1h');
    expect(await later.state()).toBe('completed');
    expect(await t.perform(flaky)).toBe(5);
    await t.runUntilIdle();
    expect(await t.next()).toBeUndefined();
    await t.close();
  });
});

test('virtual timers leave fakes in place that were there before, and that came after', async () => {
  const app = createApp({ name: 'places' });
  const before = { Date: globalThis.Date, setTimeout: globalThis.setTimeout };
  vi.useFakeTimers();
  const { setTimeout: faked } = globalThis;
  const t = await testApp(app, { virtualTimers: true });
  expect(globalThis.setTimeout).not.toBe(faked);
  await t.close();
  expect(globalThis.setTimeout).toBe(faked);
  vi.useRealTimers();
  expect(globalThis).toMatchObject(before);

  const second = await testApp(app, { virtualTimers: true });
  vi.useFakeTimers({ now: 0 });
  const { setTimeout: fakedLater } = globalThis;
  await second.close();
  expect(globalThis.setTimeout).toBe(fakedLater);
  vi.useRealTimers(); // puts back the virtual ones, which give the time of the machine where no handler runs
  const third = await testApp(app, { virtualTimers: true });
  const task = app.task({ name: 'dated', run: async () => Date.now() });
  expect(await third.run(task)).toBe(Date.UTC(2030, 0, 1));
  expect(Math.abs(Date.now() - before.Date.now())).toBeLessThan(60_000);
  await third.close();
  expect(globalThis).toMatchObject(before);
});

test('a handler that waits for a faked timer is named, and nobody waits for it', async () => {
  const app = createApp({ name: 'frozen' });
  const task = app.task({
    name: 'sleeper',
    run: () => new Promise<void>((resolve) => setTimeout(resolve, 10)),
  });
  const t = await testApp(app);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const handle = await t.start(task);
  const outcomes = await Promise.allSettled([handle.get(), t.advance('1m'), t.next(), t.runUntilIdle()]);
  for (const outcome of outcomes) {
    const { reason } = outcome as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(FakedTimersError);
    expect(String(reason)).toContain('Task "sleeper" of app "frozen" (attempt 1) did not end within 3 s');
    expect(String(reason)).toContain("toFake: ['Date']");
  }
  await vi.advanceTimersByTimeAsync(10); // the test may still end it
  await handle.get();
  await t.close();
});

test('a handler that waits for its signal and for a faked timer is not timed out meanwhile', async () => {
  const app = createApp({ name: 'guarded' });
  const task = app.task({
    name: 'guarded',
    timeout: '30s',
    run: (_, ctx) =>
      new Promise<string>((resolve, reject) => {
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason));
        setTimeout(resolve, 1000, 'done');
      }),
  });
  const t = await testApp(app);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const handle = await t.start(task);
  await expect(handle.get()).rejects.toThrow(FakedTimersError); // and not for its timeout
  expect(t.now.getTime()).toBe(Date.UTC(2030, 0, 1));
  await vi.advanceTimersByTimeAsync(1000);
  expect(await handle.get()).toBe('done');
  await t.close();
});

test('an engine that has none of the timers of the machine says so', async () => {
  vi.resetModules();
  const { setTimeout: real } = globalThis;
  const mock = Object.assign(() => undefined, { _isMockFunction: true });
  vi.doMock('node:timers', () => ({ default: { setTimeout: mock } }));
  Object.assign(globalThis, { setTimeout: mock });
  const loaded = await Promise.all([import('@umbel/core'), import('@umbel/testing')]).finally(() => {
    Object.assign(globalThis, { setTimeout: real });
    vi.doUnmock('node:timers');
  });
  const [core, testing] = loaded;
  const opened = testing.testApp(core.createApp({ name: 'mocked' }));
  await expect(opened).rejects.toThrow(
    'App "mocked" cannot be tested: setTimeout were faked when @umbel/testing was loaded',
  );
});
