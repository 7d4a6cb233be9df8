import { ValidationError } from '@umbel/core';
import type { JobNode } from '@umbel/core/internal';
import { describe, expect, test } from 'vitest';
import { completeInput, fill } from '../../src/workflow/input.js';

describe('the whole input', () => {
  test('is the value itself when nothing is bound', () => {
    expect(completeInput('t', {}, 5)).toBe(5);
    expect(completeInput('t', {}, null)).toBe(null);
  });

  test('has the bound keys over those of the value', () => {
    expect(completeInput('t', { input: { b: 2 } }, { a: 1, b: 1 })).toEqual({ a: 1, b: 2 });
  });

  test('has the value under the key it goes into', () => {
    expect(completeInput('t', { into: 'a', input: { b: 2 } }, [1])).toEqual({ a: [1], b: 2 });
    expect(completeInput('t', { into: 'a' }, 0)).toEqual({ a: 0 });
  });

  test.each([[5], [null], [[1]], ['text']])('cannot be merged from %o', (value) => {
    expect(() => completeInput('t', { input: { b: 2 } }, value)).toThrow(ValidationError);
  });

  test('takes own keys only: a stored __proto__ stays a key', () => {
    const value: unknown = JSON.parse('{"__proto__":{"admin":true},"a":1}');
    const whole = completeInput('t', { input: { b: 2 } }, value) as Record<string, unknown>;
    expect(whole.admin).toBeUndefined();
    expect(Object.getPrototypeOf(whole)).toBe(Object.prototype);
  });
});

describe('filling a tree', () => {
  const leaf = (more: Partial<JobNode>): JobNode => ({ path: '0', name: 't', queue: 'q', ...more });

  test('gives the value to open nodes only, and closes them', () => {
    const tree = leaf({
      after: { list: '0', count: 2 },
      children: [leaf({ path: '1', open: true }), leaf({ path: '2', input: 9 })],
    });
    expect(fill(tree, 5).children).toEqual([
      { path: '1', name: 't', queue: 'q', input: 5 },
      { path: '2', name: 't', queue: 'q', input: 9 },
    ]);
  });

  test('without a value leaves what is bound', () => {
    expect(fill(leaf({ open: true, input: { a: 1 } }), undefined)).toEqual(leaf({ input: { a: 1 } }));
    expect(fill(leaf({ open: true }), undefined)).toEqual(leaf({}));
  });

  test('does not change the tree it is given', () => {
    const tree = leaf({ open: true });
    fill(tree, 5);
    expect(tree).toEqual(leaf({ open: true }));
  });
});
