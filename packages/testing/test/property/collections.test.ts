import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LinkedList, SortedSet, sliceRange } from '../../src/memory/collections.js';

class Item {
  previous: Item | undefined;
  next: Item | undefined;
  score = 0;
  constructor(readonly id: string) {}
}

const edit = fc.record({ add: fc.boolean(), at: fc.nat(), score: fc.nat(40) });
const bounds = fc.tuple(fc.integer({ min: -8, max: 8 }), fc.integer({ min: -8, max: 8 }));

test('a sorted set is what sorting its members by score and id gives', () => {
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 1500, size: 'max' }),
      bounds,
      fc.nat(40),
      (edits, [start, stop], score) => {
        const set = new SortedSet<Item>();
        const model: Item[] = [];
        for (const [index, { add, at, score: where }] of edits.entries()) {
          const member = model[at % Math.max(model.length, 1)];
          if (add || !member) {
            const item = new Item(String(index));
            set.add(item, where);
            model.push(item);
          } else {
            set.remove(member);
            model.splice(model.indexOf(member), 1);
          }
        }
        model.sort((a, b) => a.score - b.score || (a.id < b.id ? -1 : 1));
        const upTo = model.filter((item) => item.score <= score);
        expect([...set]).toEqual(model);
        expect(set.size).toBe(model.length);
        expect(set.first()).toBe(model[0]);
        expect(set.range(start, stop)).toEqual(sliceRange(model, start, stop));
        expect(set.reverseRange(start, stop)).toEqual(sliceRange([...model].reverse(), start, stop));
        expect(set.upTo(score)).toEqual(upTo);
        expect(set.downFrom(score)).toEqual([...upTo].reverse());
        expect(set.countUpTo(score)).toBe(upTo.length);
        expect(set.lastUpTo(score)).toBe(upTo.at(-1));
      },
    ),
    { numRuns: 60 },
  );
});

test('a linked list is what an array would be', () => {
  const step = fc.record({ kind: fc.constantFrom('head', 'tail', 'pop', 'remove'), at: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), bounds, (steps, [start, stop]) => {
      const list = new LinkedList<Item>();
      const model: Item[] = [];
      for (const [index, { kind, at }] of steps.entries()) {
        const item = new Item(String(index));
        const member = model[at % Math.max(model.length, 1)];
        if (kind === 'head') {
          list.pushHead(item);
          model.unshift(item);
        } else if (kind === 'tail') {
          list.pushTail(item);
          model.push(item);
        } else if (kind === 'pop') {
          expect(list.popTail()).toBe(model.pop());
        } else if (member) {
          list.remove(member);
          model.splice(model.indexOf(member), 1);
        }
      }
      const ids = (items: Iterable<Item>) => [...items].map((item) => item.id);
      expect(ids(list)).toEqual(ids(model));
      expect(list.size).toBe(model.length);
      expect(ids(list.range(start, stop))).toEqual(ids(sliceRange(model, start, stop)));
    }),
  );
});
