import { expect, test } from 'vitest';
import { healthOf } from '../../../src/worker/health.js';

const fine = { state: 'running', isStoreReached: true, idleQueues: [] } as const;

test('a worker that runs and reaches its store is live and ready', () => {
  expect(healthOf(fine)).toEqual({ live: true, ready: true, reasons: [] });
});

test('one that has not started, or closes, is live and not ready', () => {
  expect(healthOf({ ...fine, state: 'starting' })).toEqual({
    live: true,
    ready: false,
    reasons: ['the worker is starting'],
  });
  expect(healthOf({ ...fine, state: 'closing' })).toMatchObject({ live: true, ready: false });
});

test('one whose store is away is not ready, but live: to start it anew would not help', () => {
  expect(healthOf({ ...fine, isStoreReached: false })).toEqual({
    live: true,
    ready: false,
    reasons: ['the store does not answer'],
  });
});

test('one that does not ask for jobs though it could is not live', () => {
  expect(healthOf({ ...fine, idleQueues: [{ queue: 'mail', idleMs: 90_400 }] })).toEqual({
    live: false,
    ready: false,
    reasons: ['queue "mail" was not polled for 90 s'],
  });
});

test('one that is closed is neither', () => {
  expect(healthOf({ ...fine, state: 'closed', isStoreReached: false })).toEqual({
    live: false,
    ready: false,
    reasons: ['the worker is closed'],
  });
});
