import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { holdsSweepsOff } from '../../../src/bullmq/guards/sweeps.js';
import { stubBackend } from '../../support/stub-backend.js';

const INTERVAL_MS = 15_000;

let answerMs: number;
let sweep: () => Promise<string[]>;

beforeEach(() => {
  vi.useFakeTimers();
  answerMs = 1;
  const backend = stubBackend({
    moveStalledJobsToWait: async () => ['swept'],
    getQueueMetaField: async () => {
      vi.advanceTimersByTime(answerMs);
      return null;
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
