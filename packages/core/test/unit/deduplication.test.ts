import { describe, expect, test } from 'vitest';
import {
  deduplicationId,
  idempotentId,
  inputDigest,
  normalizeDeduplication,
} from '../../src/task/deduplication.js';

describe('what makes calls the same', () => {
  const unique = { mode: 'unique' } as const;

  test('is their task and whole input, whatever the order of keys at any depth', () => {
    const id = deduplicationId('t', unique, { a: 1, b: [{ c: 2, d: 3 }] });
    expect(deduplicationId('t', unique, { b: [{ d: 3, c: 2 }], a: 1 })).toBe(id);
    expect(deduplicationId('t', unique, { b: [{ d: 3, c: 2 }], a: 2 })).not.toBe(id);
    expect(deduplicationId('u', unique, { a: 1, b: [{ c: 2, d: 3 }] })).not.toBe(id);
    expect(deduplicationId('t', unique, [1, 2])).not.toBe(deduplicationId('t', unique, [2, 1]));
  });

  test('is the key, where one is given', () => {
    const key = (input: { a: number }) => String(input.a % 2);
    expect(deduplicationId('t', { ...unique, key }, { a: 1 })).toBe(
      deduplicationId('t', { ...unique, key }, { a: 3 }),
    );
    const wrong = { ...unique, key: () => 7 as never };
    expect(() => deduplicationId('t', wrong, {})).toThrow('a function that returns text');
  });

  test('cannot be mistaken by joining texts', () => {
    expect(idempotentId('a', 'bc')).not.toBe(idempotentId('ab', 'c'));
    expect(idempotentId('a', 'b')).toMatch(/^key-[\w-]{32}$/);
    expect(inputDigest(undefined)).not.toBe(inputDigest(null));
  });

  test('has bounds: until it has started, and a longest wait', () => {
    expect(normalizeDeduplication({ unique: { until: 'started' } })).toEqual({
      mode: 'unique',
      until: 'started',
    });
    expect(normalizeDeduplication({ unique: { until: 'ended' } })).toEqual({ mode: 'unique' });
    expect(normalizeDeduplication({ debounce: { for: '1s', maxWait: '5s' } })).toEqual({
      mode: 'debounce',
      forMs: 1000,
      maxWaitMs: 5000,
    });
    const wrong = (options: object) => () => normalizeDeduplication(options);
    expect(wrong({ unique: { until: 'begun' } })).toThrow('`unique.until`');
    expect(wrong({ unique: { until: 'started', for: '1s' } })).toThrow('absent when `for` is given');
    expect(wrong({ debounce: { for: '2s', maxWait: '1s' } })).toThrow('at least as long as `for`');
    expect(wrong({ throttle: { for: '2s', maxWait: '3s' } })).toThrow('`throttle.maxWait`');
  });

  test('is given in one way only, and with a time where that is needed', () => {
    expect(normalizeDeduplication({})).toBeUndefined();
    expect(normalizeDeduplication({ unique: true })).toEqual({ mode: 'unique' });
    expect(normalizeDeduplication({ throttle: { for: '1s', key: 'k' } })).toEqual({
      mode: 'throttle',
      forMs: 1000,
      key: 'k',
    });
    expect(() => normalizeDeduplication({ unique: true, debounce: { for: 1 } })).toThrow(
      'absent when `unique`',
    );
    expect(() => normalizeDeduplication({ debounce: {} as never })).toThrow('Expected `debounce.for`');
    expect(() => normalizeDeduplication({ throttle: { for: 0 } })).toThrow('more than zero');
    expect(() => normalizeDeduplication({ unique: { key: '' } })).toThrow('unique.key');
  });
});
