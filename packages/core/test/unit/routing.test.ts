import { describe, expect, test } from 'vitest';
import { rateOf } from '../../src/task/option-checks.js';
import { Router } from '../../src/task/routing.js';

const none = new Set<string>();

describe('a route by pattern', () => {
  const routed = (pattern: string, task: string) =>
    new Router(undefined, { [pattern]: 'there' }).queueOf(
      { task, input: undefined, headers: {} },
      undefined,
      none,
    ) === 'there';

  test.each([
    ['a', 'a'],
    ['a*', 'a'],
    ['a*', 'abc'],
    ['*c', 'abc'],
    ['a*c', 'ac'],
    ['a*b*c', 'a-b-b-c'],
    ['*', 'anything'],
    ['**', 'x'],
    ['*b*', 'abc'],
    ['a*a', 'aa'],
  ])('%s takes %s', (pattern, task) => {
    expect(routed(pattern, task)).toBe(true);
  });

  test.each([
    ['a', 'ab'],
    ['a*', 'ba'],
    ['*c', 'cb'],
    ['a*c', 'acb'],
    ['a*a', 'a'],
    ['a*b*c', 'a-c'],
    ['ab*bc', 'abc'],
    ['a.b', 'axb'],
    ['(a+)+', 'aaa'],
  ])('%s leaves %s', (pattern, task) => {
    expect(routed(pattern, task)).toBe(false);
  });
});

describe('a rate', () => {
  test.each([
    ['100/s', { max: 100, durationMs: 1000 }],
    ['3/m', { max: 3, durationMs: 60_000 }],
    ['1/h', { max: 1, durationMs: 3_600_000 }],
    ['9/d', { max: 9, durationMs: 86_400_000 }],
  ] as const)('%s is read', (text, rate) => {
    expect(rateOf(text, 'rate')).toEqual(rate);
  });

  test.each(['0/s', '-1/s', '1.5/s', 's', '1/', '1/s/s', '/s', 'many/s', 7])('%s is refused', (text) => {
    expect(() => rateOf(text as never, 'rate')).toThrow('Expected `rate` to be a rate');
  });
});
