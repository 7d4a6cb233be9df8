import { describe, expect, test } from 'vitest';
import { ValidationError } from '../../src/base/errors.js';
import { durationText } from '../../src/base/time.js';
import { testAt, turnAt, turnIn } from '../../src/job/ids.js';
import type { JobNode, LoopExpansion } from '../../src/job/job-tree.js';
import { isExpansion } from '../../src/job/tree-checks.js';
import { decideLoop } from '../../src/workflow/loop.js';
import { decideSleep } from '../../src/workflow/sleep.js';

const NODE: JobNode = { path: '0@*', name: 'a', queue: 'default' };
const looped = (more: Partial<LoopExpansion> = {}): LoopExpansion => ({
  body: NODE,
  until: { condition: { n: { gte: 3 } } },
  max: 5,
  ...more,
});
const NOW = 1000;

describe('a loop', () => {
  const decide = (loop: LoopExpansion, begun: number, value: unknown, spent = 0) =>
    decideLoop(loop, { begun, spent }, { value }, undefined, NOW);

  test('is done, then has made its turns, then has used up its budget', () => {
    const budget = { key: 'cost', max: 4 };
    const ends = (begun: number, value: object, spent: number) =>
      decide(looped({ budget }), begun, value, spent);
    const end = (value: object, stopped: string) => ({ kind: 'end', result: { value, stopped } });
    expect(ends(5, { n: 3, cost: 9 }, 0)).toEqual(end({ n: 3, cost: 9 }, 'done'));
    expect(ends(5, { n: 1, cost: 9 }, 0)).toEqual(end({ n: 1, cost: 9 }, 'max'));
    expect(ends(2, { n: 1, cost: 2 }, 2)).toEqual(end({ n: 1, cost: 2 }, 'budget'));
    expect(ends(2, { n: 1, cost: 1 }, 2)).toEqual({ kind: 'turn', turns: { begun: 3, spent: 3 } });
  });

  test('asks its step once for each turn', () => {
    const loop = looped({ until: { step: NODE } });
    expect(decide(loop, 1, 0)).toEqual({ kind: 'test' });
    const decided = (result: unknown) =>
      decideLoop(loop, { begun: 1, spent: 0 }, { value: 0, tested: { result } }, undefined, NOW);
    expect(decided(true)).toMatchObject({ kind: 'end' });
    expect(decided(false)).toMatchObject({ kind: 'turn' });
    expect(() => decided('yes')).toThrow(ValidationError);
  });

  test('waits between two turns: for the rest of its time, or until it is woken', () => {
    const loop = looped({ everyMs: 50 });
    const begun = decide(loop, 2, { n: 1 });
    expect(begun).toEqual({ kind: 'begin-wait', pause: { since: NOW, until: NOW + 50, turns: 2 } });
    const later = (now: number, pause: object) =>
      decideLoop(
        loop,
        { begun: 2, spent: 0 },
        { value: { n: 1 } },
        { since: NOW, until: NOW + 50, turns: 2, ...pause },
        now,
      );
    expect(later(NOW + 20, {})).toEqual({ kind: 'wait', ms: 30 });
    expect(later(NOW + 50, {})).toMatchObject({ kind: 'turn' });
    expect(later(NOW + 20, { woken: NOW })).toMatchObject({ kind: 'turn' });
    expect(later(NOW + 60, { turns: 1 }), 'the wait after an earlier turn').toMatchObject({
      kind: 'begin-wait',
    });
  });

  test.each([[{}], [{ cost: '1' }], [{ cost: -1 }], [{ cost: null }], [7]])('refuses to add %j', (value) => {
    expect(() => decide(looped({ budget: { key: 'cost', max: 4 } }), 1, value)).toThrow(ValidationError);
  });

  test('is checked when it is read from the store', () => {
    const parent = { path: '0', queue: 'umbel' };
    expect(isExpansion({ parent, ...looped() })).toBe(true);
    expect(isExpansion({ parent, ...looped({ budget: { key: 'a', max: 1 }, everyMs: 0 }) })).toBe(true);
    expect(isExpansion({ parent, ...looped(), max: 0 })).toBe(false);
    expect(isExpansion({ parent, ...looped(), until: {} })).toBe(false);
    expect(isExpansion({ parent, ...looped(), budget: { key: 'a' } })).toBe(false);
    expect(isExpansion({ parent, ...looped(), everyMs: -1 })).toBe(false);
  });
});

describe('a sleep', () => {
  test('begins once, and ends at the moment that it has stored', () => {
    const begun = decideSleep({ ms: 50 }, undefined, 1, NOW);
    expect(begun).toEqual({ kind: 'begin', pause: { since: NOW, until: NOW + 50 } });
    const pause = { since: NOW, until: NOW + 50 };
    expect(decideSleep({ ms: 50 }, pause, 1, NOW + 49.5)).toEqual({ kind: 'wait', ms: 1 });
    expect(decideSleep({ ms: 50 }, pause, 1, NOW + 50)).toEqual({ kind: 'over' });
    expect(decideSleep({ ms: 50 }, { ...pause, woken: NOW }, 1, NOW + 1)).toEqual({ kind: 'over' });
    expect(decideSleep({ ms: 0 }, undefined, 1, NOW)).toEqual({ kind: 'over' });
  });

  test.each(['1970-01-01T00:00:02Z', '1970-01-01T01:00:02+01:00', '1970-01-01T00:00:02.000Z'])(
    'reads %s',
    (at) => {
      expect(decideSleep({ until: 'at' }, undefined, { at }, NOW)).toMatchObject({ pause: { until: 2000 } });
    },
  );

  test.each(['', 'now', '1970-01-01', '1970-01-01T00:00:02', '2023-02-29T00:00:00Z', '2030-01-01T25:00:00Z'])(
    'refuses %j',
    (at) => {
      expect(() => decideSleep({ until: 'at' }, undefined, { at }, NOW)).toThrow(ValidationError);
    },
  );
});

test('turns have paths of their own', () => {
  expect([turnAt('0-1', 3), testAt(turnAt('0-1', 3))]).toEqual(['0-1@3', '0-1@3^t']);
  expect(turnIn('0-1', '0-1@3')).toBe(3);
  expect(turnIn('0-1', '0-1@3^t')).toBe(3);
  expect(turnIn('0-1', '0-1@3-0')).toBeUndefined();
  expect(turnIn('0-1', '0-10@3')).toBeUndefined();
});

test('durations are exact in the largest unit', () => {
  expect([0, 1, 1500, 60_000, 5_400_000, 86_400_000, 604_800_000].map(durationText)).toEqual([
    '0ms',
    '1ms',
    '1500ms',
    '1m',
    '90m',
    '1d',
    '1w',
  ]);
});
