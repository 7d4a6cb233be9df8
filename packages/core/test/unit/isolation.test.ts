import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/time.js';
import { type ExclusiveRun, PoisonGate } from '../../src/worker/poison.js';

const DRAIN_MS = 1000;

let gate: PoisonGate;

beforeEach(() => {
  vi.useFakeTimers();
  gate = new PoisonGate(systemClock);
});
afterEach(() => void vi.useRealTimers());

/** What a promise has come to by now; undefined while it is open. */
async function now<T>(promise: Promise<T>): Promise<T | undefined> {
  await vi.advanceTimersByTimeAsync(0);
  return Promise.race([promise, Promise.resolve(undefined)]);
}

test('jobs start beside each other while none is alone', () => {
  expect(gate.enter()).toBeUndefined();
  expect(gate.enter()).toBeUndefined();
});

test('a job is alone at once where none runs, and others are held back until it ends', async () => {
  const alone = await gate.runExclusively(DRAIN_MS);
  const turn = gate.enter() as Promise<boolean>;
  expect(await now(turn)).toBeUndefined();
  alone?.end();
  expect(await now(turn)).toBe(true);
  expect(gate.enter()).toBeUndefined();
});

test('a job waits for those that run, and none is started meanwhile', async () => {
  gate.enter();
  const waiting = gate.runExclusively(DRAIN_MS);
  const turn = gate.enter() as Promise<boolean>;
  expect(await now(waiting)).toBeUndefined();
  gate.leave();
  const alone = await now(waiting);
  expect(alone?.isExclusive).toBe(true);
  expect(await now(turn)).toBeUndefined();
});

test('a job waits for those that run no longer than it is told to', async () => {
  gate.enter();
  const waiting = gate.runExclusively(DRAIN_MS);
  await vi.advanceTimersByTimeAsync(DRAIN_MS - 1);
  expect(await now(waiting)).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect((await now(waiting))?.isExclusive).toBe(true);
});

test('others start beside a job that has been alone for long enough, which then counts among those that run', async () => {
  const first = (await gate.runExclusively(DRAIN_MS)) as ExclusiveRun;
  const turn = gate.enter() as Promise<boolean>;
  first.share();
  expect(first.isExclusive).toBe(false);
  expect(await now(turn)).toBe(true);
  gate.leave();
  const second = gate.runExclusively(DRAIN_MS);
  expect(await now(second)).toBeUndefined();
  first.end();
  expect((await now(second))?.isExclusive).toBe(true);
});

test('one job is alone after the other, and those that were held back start in between', async () => {
  const first = (await gate.runExclusively(DRAIN_MS)) as ExclusiveRun;
  const waiting = gate.runExclusively(DRAIN_MS);
  const turn = gate.enter() as Promise<boolean>;
  first.end();
  expect(await now(turn)).toBe(true);
  expect(await now(waiting)).toBeUndefined();
  gate.leave();
  const second = (await now(waiting)) as ExclusiveRun;
  expect(second.isExclusive).toBe(true);
  first.end(); // a second time: no turn of another job ends by it
  expect(second.isExclusive).toBe(true);
  expect(gate.enter()).toBeInstanceOf(Promise);
});

test('a job whose turn does not come is left to other processes, and takes no turn later', async () => {
  const first = (await gate.runExclusively(DRAIN_MS)) as ExclusiveRun;
  const waiting = gate.runExclusively(DRAIN_MS);
  const held = gate.enter() as Promise<boolean>;
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await waiting).toBeUndefined();
  expect(await held).toBe(false);
  first.end();
  expect(gate.enter()).toBeUndefined();
  gate.leave();
  expect((await now(gate.runExclusively(DRAIN_MS)))?.isExclusive).toBe(true); // none is counted that does not run
});

test('nobody waits for a worker that goes', async () => {
  await gate.runExclusively(DRAIN_MS);
  const waiting = gate.runExclusively(DRAIN_MS);
  const held = gate.enter() as Promise<boolean>;
  gate.close();
  expect(await waiting).toBeUndefined();
  expect(await held).toBe(false);
  expect(await gate.enter()).toBe(false);
});
