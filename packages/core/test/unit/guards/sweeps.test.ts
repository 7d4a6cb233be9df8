import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { holdsSweepsOff } from '../../../src/store/guards/locks.js';
import { passing, stubBackend } from '../../support/stub-backend.js';

const INTERVAL_MS = 15_000;

let answerMs: number;
let refusal: Error | undefined;
let swept: number;
let sweep: () => Promise<string[]>;

beforeEach(() => {
  vi.useFakeTimers();
  answerMs = 1;
  refusal = undefined;
  swept = 0;
  const backend = stubBackend({
    moveStalledJobsToWait: async () => {
      swept += 1;
      return ['swept'];
    },
    takeLock: async () => false,
    replaceData: async () => false,
    async tryWrite(this: unknown) {
      expect(this).toBe(backend); // the memory store has it as a method
      vi.advanceTimersByTime(answerMs);
      if (refusal !== undefined) throw refusal;
    },
  });
  holdsSweepsOff(backend, INTERVAL_MS);
  sweep = () => backend.moveStalledJobsToWait();
});

afterEach(() => void vi.useRealTimers());

/** Sweeps as BullMQ does, one interval after the last one. */
const next = () => {
  vi.advanceTimersByTime(INTERVAL_MS);
  return sweep();
};

test('the first sweep of a worker comes an interval after its start', async () => {
  expect(await sweep()).toEqual([]);
  expect(await next()).toEqual(['swept']);
});

test('sweeps go on while the store answers', async () => {
  await sweep();
  expect(await next()).toEqual(['swept']);
  expect(await next()).toEqual(['swept']);
});

test('a sweep is left out when the store has just stood still', async () => {
  await sweep();
  await next();
  answerMs = 45_000;
  expect(await next()).toEqual([]);
  answerMs = 1;
  expect(await next()).toEqual(['swept']);
});

test('a sweep is left out when this process has just stood still', async () => {
  await sweep();
  await next();
  vi.advanceTimersByTime(40_000);
  expect(await sweep()).toEqual([]);
  expect(await next()).toEqual(['swept']);
});

test.each(['OOM command not allowed', 'NOREPLICAS Not enough good replicas', 'READONLY', 'MISCONF'])(
  'a sweep is left out when the store has just refused to write: %s',
  async (message) => {
    await sweep();
    await next();
    expect(swept).toBe(1);
    refusal = passing(message);
    for (let refused = 0; refused < 3; refused += 1) await expect(next()).rejects.toBe(refusal);
    refusal = undefined;
    // However soon after the last refusal the store has come back.
    expect(await next()).toEqual([]);
    expect(swept).toBe(1);
    expect(await next()).toEqual(['swept']);
  },
);

test('a sweep that is itself refused is followed by one that is left out, also where nothing can be tried before', async () => {
  const refused = passing('OOM command not allowed');
  let isFull = false;
  const backend = stubBackend({
    moveStalledJobsToWait: async () => {
      if (isFull) throw refused;
      return ['swept'];
    },
  });
  holdsSweepsOff(backend, INTERVAL_MS);
  const after = () => {
    vi.advanceTimersByTime(INTERVAL_MS);
    return backend.moveStalledJobsToWait();
  };
  expect(await after()).toEqual(['swept']);
  isFull = true;
  await expect(after()).rejects.toBe(refused);
  isFull = false;
  expect(await after()).toEqual([]);
  expect(await after()).toEqual(['swept']);
});
