import { chain, chord, group } from '@umbel/canvas';
import type { Step } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import type { CanvasExpression } from '../../src/expression.js';
import { normalize } from '../../src/normalize.js';
import { add, double, sum } from '../support/tasks.js';

/** The plain data of a composition. */
function dataOf(composition: Step<string, never, unknown> & { toJSON(): unknown }): CanvasExpression {
  return composition.toJSON() as CanvasExpression;
}

const DOUBLE = { kind: 'task', task: 'double' } as const;
const SUM = { kind: 'task', task: 'sum' } as const;

describe('normalize', () => {
  test('splices chains inside chains', () => {
    expect(normalize(dataOf(chain(double, chain(double, chain(double)), double)))).toEqual({
      kind: 'chain',
      steps: [DOUBLE, DOUBLE, DOUBLE, DOUBLE],
    });
  });

  test('replaces a chain of one step by that step', () => {
    expect(normalize(dataOf(chain(chain(chain(double)))))).toEqual(DOUBLE);
    expect(normalize(dataOf(chain(group([double]))))).toEqual({ kind: 'group', members: [DOUBLE] });
  });

  test('writes a chord as a chain of its header and its body', () => {
    const expected = { kind: 'chain', steps: [{ kind: 'group', members: [DOUBLE, DOUBLE] }, SUM, DOUBLE] };
    expect(normalize(dataOf(chord([double, double], chain(sum, double))))).toEqual(expected);
    expect(normalize(dataOf(chain(group([double, double]), sum, double)))).toEqual(expected);
  });

  test('keeps groups inside groups', () => {
    expect(normalize(dataOf(group({ a: group([double]), b: chain(double) })))).toEqual({
      kind: 'group',
      keys: ['a', 'b'],
      members: [{ kind: 'group', members: [DOUBLE] }, DOUBLE],
    });
  });

  test('hands options down to the tasks, where an inner one wins', () => {
    const inner = chain(double.set({ queue: 'inner' }), add.into('x', { y: 1 }));
    const shared = { queue: 'outer', priority: 3 }; // for what handlers add
    expect(normalize(dataOf(group([inner]).set({ queue: 'outer', priority: 3 })))).toEqual({
      kind: 'group',
      members: [
        {
          kind: 'chain',
          steps: [
            { ...DOUBLE, options: { queue: 'inner', priority: 3 }, shared },
            {
              kind: 'task',
              task: 'add',
              into: 'x',
              input: { y: 1 },
              options: { queue: 'outer', priority: 3 },
              shared,
            },
          ],
        },
      ],
    });
  });

  test('hands a delay only to the tasks that start the composition, where delays add up', () => {
    const delays = (expression: unknown): unknown[] =>
      JSON.stringify(expression)
        .match(/"delayMs":\d+|"task":"\w+"/g)
        ?.map((match) => match.split(':')[1]) ?? [];
    const hour = { countdown: '1h' } as const;
    expect(delays(normalize(dataOf(chain(double.set(hour), double).set(hour))))).toEqual([
      '"double"',
      '7200000',
      '"double"',
    ]);
    expect(delays(normalize(dataOf(chord([double, double], sum).set(hour))))).toEqual([
      '"double"',
      '3600000',
      '"double"',
      '3600000',
      '"sum"',
    ]);
  });

  test('changes nothing when done twice', () => {
    const once = normalize(dataOf(chain(double, chord([chain(double), double], chain(sum, double)))));
    expect(normalize(once as CanvasExpression)).toEqual(once);
  });
});

describe('a composition', () => {
  test('is plain data that survives JSON', () => {
    const workflow = dataOf(chain(double, group({ a: add.into('x', { y: 1 }), b: double.si(3) })));
    expect(JSON.parse(JSON.stringify(workflow))).toEqual(workflow);
  });

  test('is not changed by being built into another', () => {
    const part = chain(double, double);
    const before = JSON.stringify(part);
    group([part.set({ priority: 1 }), chain(part, double)]);
    expect(JSON.stringify(part)).toBe(before);
  });
});
