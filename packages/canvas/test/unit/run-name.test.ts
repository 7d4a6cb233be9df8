import { describe, expect, test } from 'vitest';
import type { NormalExpression } from '../../src/normalize.js';
import { runNameOf } from '../../src/run-name.js';

const task = (name: string) => ({ kind: 'task', task: name }) as const;
const group = (...names: string[]) => ({ kind: 'group', members: names.map(task) }) as const;
const chain = (...steps: NormalExpression[]) => ({ kind: 'chain', steps }) as const;

describe('a run without a name of its own is named by its tasks', () => {
  const condition = { key: 'n', above: 3 } as never; // the name does not read it
  test.each<[string, NormalExpression, string]>([
    ['a chain', chain(task('fetch'), task('publish')), 'fetch → publish'],
    ['members that are alike', chain(group('size', 'size', 'size'), task('sum')), '[size × 3] → sum'],
    ['a single member', group('size'), '[size]'],
    ['no members', group(), '[]'],
    ['members by key', { ...group('words', 'links'), keys: ['a', 'b'] }, '[words, links]'],
    ['many different members', group('a', 'b', 'c', 'd', 'e'), '[a, b, c, …]'],
    ['members that are not read', { kind: 'group', members: { read: async function* () {} } }, 'group'],
    [
      'members with inputs',
      { kind: 'group', members: [{ kind: 'given', step: task('a'), input: 1 }] },
      '[a]',
    ],
    ['chunks', { kind: 'group', members: [{ kind: 'chunk', task: task('a'), items: [], offset: 0 }] }, '[a]'],
    ['a map', { kind: 'each', step: chain(task('a'), task('b')) }, 'map(a → b)'],
    ['a match', { kind: 'match', key: 'type', cases: { x: task('a'), y: task('b') } }, 'match(a, b)'],
    ['a when', { kind: 'when', test: { condition }, onTrue: task('a') }, 'when(a)'],
    [
      'a when with both',
      { kind: 'when', test: { condition }, onTrue: task('a'), onFalse: task('b') },
      'when(a, b)',
    ],
    ['a fallback', { kind: 'fallback', step: task('a'), other: task('b') }, 'fallback(a, b)'],
    ['flat', { kind: 'flat', step: group('a', 'b') }, 'flat([a, b])'],
    ['a loop', { kind: 'loop', body: task('a'), until: { condition }, max: 3 }, 'loop(a)'],
    ['a sleep', chain(task('a'), { kind: 'sleep', sleep: { ms: 1 } }), 'a → sleep'],
    ['a wait', { kind: 'waitFor', signal: 'approved', timeout: 'never' }, 'waitFor(approved)'],
    ['callbacks', { kind: 'linked', step: task('a'), callbacks: { success: [task('b')] } }, 'a'],
  ])('%s', (_, expression, name) => {
    expect(runNameOf(expression)).toBe(name);
  });

  test('a long or deep workflow has the beginning', () => {
    const long = runNameOf(chain(...Array.from({ length: 10_000 }, (_, index) => task(`step-${index}`))));
    expect(long).toHaveLength(100);
    expect(long).toMatch(/^step-0 → step-1 → .*…$/);
    let deep: NormalExpression = task('a');
    for (let level = 0; level < 10_000; level += 1) deep = { kind: 'flat', step: deep };
    expect(runNameOf(deep)).toBe(`${'flat('.repeat(10)}…${')'.repeat(10)}`);
  });
});
