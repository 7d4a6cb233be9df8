import { describe, expect, test } from 'vitest';
import { adderIn, memberOf } from '../../src/job/ids.js';
import type { JobNode } from '../../src/job/job-tree.js';
import {
  addedInOrder,
  contentDigest,
  contentOf,
  EarlierMembers,
  keyDigest,
} from '../../src/workflow/added-members.js';

const node = (input: unknown, more: Partial<JobNode> = {}): JobNode => ({
  path: '+',
  name: 'visit',
  queue: 'default',
  input,
  ...more,
});

describe('what a member is', () => {
  test('its tasks, inputs and callbacks, whatever its options and the order of its keys', () => {
    const one = contentOf(node({ url: '/a', depth: 1 }));
    expect(contentOf(node({ depth: 1, url: '/a' }))).toBe(one);
    expect(contentOf(node({ url: '/a', depth: 1 }, { queue: 'other', options: { priority: 3 } }))).toBe(one);
    expect(contentOf(node({ url: '/b', depth: 1 }))).not.toBe(one);
    expect(contentOf(node({ url: '/a', depth: 1 }, { name: 'other' }))).not.toBe(one);
    const callbacks = { success: [node('told', { path: '' })] };
    expect(contentOf(node({ url: '/a', depth: 1 }, { callbacks }))).not.toBe(one);
    const before = { children: [node('first', { path: '+-0' })], after: { step: '+-0' } };
    expect(contentOf(node({ url: '/a', depth: 1 }, before))).not.toBe(one);
  });

  test('equal ones differ by their number, and keys are no contents', () => {
    const content = contentOf(node('/a'));
    expect(new Set([0, 1, 2].map((nth) => contentDigest(content, nth))).size).toBe(3);
    expect(contentDigest(content, 0)).toMatch(/^[0-9a-f]{16}$/);
    expect(keyDigest(content)).not.toBe(contentDigest(content, 0));
  });
});

/** Attempts that add these members one after the other: each is a list of contents. Gives the ends of their paths. */
function attempts(...all: readonly (readonly string[])[]): { added: Set<string>; of: string[][] } {
  const added = new Set<string>();
  const of = all.map((contents) => {
    const earlier = new EarlierMembers(added);
    const occurrences = new Map<string, number>();
    const suffixes = contents.map((content, call) => {
      const nth = occurrences.get(content) ?? 0;
      occurrences.set(content, nth + 1);
      return earlier.suffixOf(contentDigest(content, nth), call);
    });
    for (const suffix of suffixes) added.add(suffix);
    return suffixes;
  });
  return { added, of };
}

const orderOf = (suffixes: Iterable<string>) =>
  addedInOrder(
    'p',
    [...suffixes].map((suffix) => `p.0++${suffix}`),
  ).map((id) => id.slice('p.0++'.length));

describe('a repeated attempt', () => {
  test('adds nothing if it asks for the same, in whatever order', () => {
    for (const again of [['/new', '/b'], ['/b', '/new'], ['/b'], ['/new'], []])
      expect(attempts(['/new', '/b'], again).added.size).toBe(2);
    expect(attempts(['/a', '/a'], ['/a', '/a']).added.size).toBe(2);
  });

  test('adds what it asks for and earlier ones did not, and that comes after theirs', () => {
    const { added, of } = attempts(['/b'], ['/new', '/b', '/c'], ['/d', '/c', '/e', '/f']);
    const [[b], [fresh, again, c], [d, , e, f]] = of as [string[], string[], string[]];
    expect(again).toBe(b);
    expect(orderOf(added)).toEqual([b, fresh, c, d, e, f]);
    expect(added.size).toBe(6);
  });

  test('gives the same place to what an attempt beside it adds in the same order', () => {
    const first = new EarlierMembers();
    const a = first.suffixOf('aa', 0);
    const beside = new EarlierMembers([a]);
    expect(beside.suffixOf('bb', 1)).toBe(first.suffixOf('bb', 1));
  });

  test('takes members of earlier versions for those that it asks for at the same place', () => {
    const earlier = new EarlierMembers(['0', '1']);
    expect([0, 1].map((call) => earlier.suffixOf('aa', call))).toEqual(['0', '1']);
    expect(earlier.suffixOf('bb', 2)).toBe('2=bb');
    expect(orderOf(['2=bb', '1', '0'])).toEqual(['0', '1', '2=bb']);
  });

  test('reads nothing else for a member', () => {
    const earlier = new EarlierMembers(['0=aa.3', '0=aa-1', '0=aa+0=bb', 'x', '', '0=zz']);
    expect(earlier.suffixOf('aa', 0)).toBe('0=aa');
  });
});

describe('the id of an added member', () => {
  test('says who has added it, and which group it is in', () => {
    expect(adderIn('run.0.3++0=2f00')).toBe('run.0.3');
    expect(adderIn('run.0.3+-1+4_2=2f00')).toBe('run.0.3-1');
    expect(adderIn('run.0.3+++0=2f+1=9c')).toBe('run.0.3++0=2f');
    expect(adderIn('run.0.3++0')).toBe('run.0.3');
    expect(adderIn('run.0.3++0=2f-1')).toBeUndefined();
    expect(memberOf('0.3++0=2f')).toEqual({ group: '0', member: '0.3' });
    expect(memberOf('0.3++0=2f.7')).toEqual({ group: '0.3++0=2f', member: '0.3++0=2f.7' });
  });

  test('gives their order: by member, depth, step, and then as they were asked for', () => {
    const ids = ['p.1++0=00', 'p.0++10=aa', 'p.0++9=bb', 'p.0++9_1=aa', 'p.0+-0+5=aa', 'p.0+++0=ff+0=aa'];
    expect(addedInOrder('p', [...ids, 'p.0', 'p.0++9=bb-0', 'q.0++0=aa'])).toEqual([
      'p.0+-0+5=aa',
      'p.0++9=bb',
      'p.0++9_1=aa',
      'p.0++10=aa',
      'p.0+++0=ff+0=aa',
      'p.1++0=00',
    ]);
  });
});
