/** Any attempts of a job that add members to its group: each is there once, in the order in which it was asked for first. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addedInOrder, contentDigest, EarlierMembers } from '../../src/workflow/added-members.js';

test('each member is there once, and the order is that of the first asking', () => {
  const attempt = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(attempt, { minLength: 1, maxLength: 5 }), fc.nat({ max: 6 }), (attempts, cut) => {
      const suffixes = new Map<string, string>();
      const first: string[] = [];
      for (const [index, contents] of attempts.entries()) {
        const earlier = new EarlierMembers(suffixes.keys());
        const counts = new Map<string, number>();
        // An attempt may end anywhere.
        const reached = index < attempts.length - 1 ? contents.slice(0, cut) : contents;
        for (const [call, content] of reached.entries()) {
          const nth = counts.get(content) ?? 0;
          counts.set(content, nth + 1);
          const name = `${content}${nth}`;
          const suffix = earlier.suffixOf(contentDigest(content, nth), call);
          expect(suffixes.get(suffix) ?? name).toBe(name);
          if (!first.includes(name)) first.push(name);
          suffixes.set(suffix, name);
        }
      }
      const ids = [...suffixes.keys()].map((suffix) => `g.2+-1+${suffix}`);
      const order = addedInOrder('g', ids.reverse()).map((id) => suffixes.get(id.slice('g.2+-1+'.length)));
      expect(order).toEqual(first);
    }),
  );
});
