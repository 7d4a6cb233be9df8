import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Link, LinkedItems } from '../../src/base/linked-list.js';

test('hold what a set would, in the same order, whatever is added and removed', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('add' as const), fc.nat(20))), (steps) => {
      const items = new LinkedItems<number>();
      const model = new Set<number>();
      const links: Link<number>[] = [];
      for (const [item, step] of steps.entries()) {
        if (step === 'add') {
          links.push(items.add(item));
          model.add(item);
        } else {
          const link = links[step];
          if (link !== undefined) expect(items.remove(link)).toBe(model.delete(link.item));
        }
        expect([...items]).toEqual([...model]);
        expect(items.isEmpty).toBe(model.size === 0);
      }
    }),
  );
});

test('are gone through as they were, whatever is removed meanwhile', () => {
  const items = new LinkedItems<string>();
  const links = ['a', 'b', 'c'].map((item) => items.add(item));
  const seen: string[] = [];
  for (const item of items) {
    seen.push(item);
    for (const link of links) items.remove(link);
  }
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('what was removed refers to nothing that is still there', () => {
  const items = new LinkedItems<string>();
  const [, middle] = ['a', 'b', 'c'].map((item) => items.add(item));
  if (middle === undefined) throw new Error('absent');
  items.remove(middle);
  expect(middle).toEqual({ item: 'b', previous: undefined, next: undefined });
});
