import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/time.js';
import { type Alone, Isolation } from '../../src/worker/poison.js';

const DRAIN_MS = 1000;

let isolation: Isolation;

beforeEach(() => {
  vi.useFakeTimers();
  isolation = new Isolation(systemClock);
});
afterEach(() => void vi.useRealTimers());

/** What a promise has come to by now; undefined while it is open. */
async function now<T>(promise: Promise<T>): Promise<T | undefined> {
  await vi.advanceTimersByTimeAsync(0);
  return Promise.race([promise, Promise.resolve(undefined)]);
}

test('jobs start beside each other while none is alone', () => {
  expect(isolation.enter()).toBeUndefined();
  expect(isolation.enter()).toBeUndefined();
});

test('a job is alone at once where none runs, and others are held back until it ends', async () => {
  const alone = await isolation.alone(DRAIN_MS);
  const turn = isolation.enter() as Promise<boolean>;
  expect(await now(turn)).toBeUndefined();
  alone?.end();
  expect(await now(turn)).toBe(true);
  expect(isolation.enter()).toBeUndefined();
});

test('a job waits for those that run, and none is started meanwhile', async () => {
  isolation.enter();
  const waiting = isolation.alone(DRAIN_MS);
  const turn = isolation.enter() as Promise<boolean>;
  expect(await now(waiting)).toBeUndefined();
  isolation.leave();
  const alone = await now(waiting);
  expect(alone?.isAlone).toBe(true);
  expect(await now(turn)).toBeUndefined();
});

test('a job waits for those that run no longer than it is told to', async () => {
  isolation.enter();
  const waiting = isolation.alone(DRAIN_MS);
  await vi.advanceTimersByTimeAsync(DRAIN_MS - 1);
  expect(await now(waiting)).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect((await now(waiting))?.isAlone).toBe(true);
});

test('others start beside a job that has been alone for long enough, which then counts among those that run', async () => {
  const first = (await isolation.alone(DRAIN_MS)) as Alone;
  const turn = isolation.enter() as Promise<boolean>;
  first.share();
  expect(first.isAlone).toBe(false);
  expect(await now(turn)).toBe(true);
  isolation.leave();
  const second = isolation.alone(DRAIN_MS);
  expect(await now(second)).toBeUndefined();
  first.end();
  expect((await now(second))?.isAlone).toBe(true);
});

test('one job is alone after the other, and those that were held back start in between', async () => {
  const first = (await isolation.alone(DRAIN_MS)) as Alone;
  const waiting = isolation.alone(DRAIN_MS);
  const turn = isolation.enter() as Promise<boolean>;
  first.end();
  expect(await now(turn)).toBe(true);
  expect(await now(waiting)).toBeUndefined();
  isolation.leave();
  const second = (await now(waiting)) as Alone;
  expect(second.isAlone).toBe(true);
  first.end(); // a second time: no turn of another job ends by it
  expect(second.isAlone).toBe(true);
  expect(isolation.enter()).toBeInstanceOf(Promise);
});

test('a job whose turn does not come is left to other processes, and takes no turn later', async () => {
  const first = (await isolation.alone(DRAIN_MS)) as Alone;
  const waiting = isolation.alone(DRAIN_MS);
  const held = isolation.enter() as Promise<boolean>;
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await waiting).toBeUndefined();
  expect(await held).toBe(false);
  first.end();
  expect(isolation.enter()).toBeUndefined();
  isolation.leave();
  expect((await now(isolation.alone(DRAIN_MS)))?.isAlone).toBe(true); // none is counted that does not run
});

test('nobody waits for a worker that goes', async () => {
  await isolation.alone(DRAIN_MS);
  const waiting = isolation.alone(DRAIN_MS);
  const held = isolation.enter() as Promise<boolean>;
  isolation.close();
  expect(await waiting).toBeUndefined();
  expect(await held).toBe(false);
  expect(await isolation.enter()).toBe(false);
});
