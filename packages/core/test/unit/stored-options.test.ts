/** Options of signatures that were stored, and options over others. */
import { InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { readOptions } from '../../src/task/option-checks.js';
import { mergeOptions, normalizeOptions } from '../../src/task/options.js';

describe('options that were stored', () => {
  test('are read as they were', () => {
    const options = normalizeOptions(
      {
        queue: 'mail',
        priority: 3,
        countdown: '1m',
        headers: { tenant: 'a' },
        displayName: 'A mail',
        tags: ['a', 'b'],
        retry: { attempts: 3, backoff: 'fixed', jitter: false },
        timeout: '5s',
        expires: '1h',
      },
      0,
    );
    expect(readOptions(JSON.parse(JSON.stringify(options)))).toEqual(options);
    const until = normalizeOptions({ expires: new Date(5) }, 0);
    expect(readOptions(JSON.parse(JSON.stringify(until)))).toEqual(until);
    expect(readOptions({})).toEqual({});
  });

  const retry = { attempts: 1, backoff: 'fixed', delayMs: 1, maxMs: 1, jitter: true };
  test.each<[string, unknown]>([
    ['options', null],
    ['options', []],
    ['options.countdown', { countdown: 1 }],
    ['queue', { queue: 'a b' }],
    ['queue', { queue: 'umbel' }],
    ['priority', { priority: -1 }],
    ['delayMs', { delayMs: '1s' }],
    ['delayMs', { delayMs: -1 }],
    ['headers.a', { headers: { a: 1 } }],
    ['displayName', { displayName: '' }],
    ['tags', { tags: 'a' }],
    ['tags', { tags: [''] }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['expiresMs', { expiresMs: 0 }],
    ['expiresAt', { expiresAt: 'soon' }],
    ['retry', { retry: 3 }],
    ['retry.attempts', { retry: { ...retry, attempts: 0 } }],
    ['retry.backoff', { retry: {} }],
    ['retry.backoff', { retry: { ...retry, backoff: 'linear' } }],
    ['retry.delayMs', { retry: { ...retry, delayMs: '1s' } }],
    ['retry.maxMs', { retry: { ...retry, maxMs: -1 } }],
    ['retry.jitter', { retry: { ...retry, jitter: 1 } }],
    ['retry.custom', { retry: { ...retry, custom: true } }],
  ])('have no such %s: %j', (option, value) => {
    expect(() => readOptions(value)).toThrow(InvalidOptionError);
    expect(() => readOptions(value)).toThrow(`\`${option}\``);
  });
});

describe('options over others', () => {
  test('win, and tags add up', () => {
    expect(mergeOptions({ priority: 1, queue: 'a', tags: ['x'] }, { priority: 2, tags: ['y', 'x'] })).toEqual(
      {
        priority: 2,
        queue: 'a',
        tags: ['x', 'y'],
      },
    );
    expect(mergeOptions(undefined, { tags: ['x'] })).toEqual({ tags: ['x'] });
    expect(mergeOptions({ tags: ['x'] }, {})).toEqual({ tags: ['x'] });
  });

  test('are refused with too many tags', () => {
    const tags = Array.from({ length: 20 }, (_, index) => `${index}`);
    expect(() => mergeOptions({ tags }, { tags: ['more'] })).toThrow('at most 20 texts, got 21');
    expect(mergeOptions({ tags }, { tags: ['3'] })).toEqual({ tags });
  });
});
