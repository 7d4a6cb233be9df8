import { expect, test } from 'vitest';
import { BoundedNames } from '../../src/prometheus/metrics.js';

test('names of classes are let through until there are too many', () => {
  const names = new BoundedNames(2);
  expect(['TypeError', 'Mine$1', 'Third', 'TypeError'].map((name) => names.of(name))).toEqual([
    'TypeError',
    'Mine$1',
    'other',
    'TypeError',
  ]);
});

test.each([
  [''],
  ['with space'],
  ['1st'],
  ['a"b'],
  ['new\nline'],
  ['x'.repeat(65)],
  ['__proto__ '],
  ['ключ'],
])('%j is no name of a class, and takes no place', (name) => {
  const names = new BoundedNames(1);
  expect(names.of(name)).toBe('other');
  expect(names.of('TypeError')).toBe('TypeError');
});
