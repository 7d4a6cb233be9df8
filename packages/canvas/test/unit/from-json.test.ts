/** What fromJSON refuses, and how it tells where. */
import { CanvasError, chain, fromJSON, group } from '@umbel/canvas';
import { type App, InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import { add, app, double, sum } from '../support/tasks.js';

const DOUBLE = { kind: 'task', task: 'double' };
const SUM = { kind: 'task', task: 'sum' };

function nested(depth: number): unknown {
  let data: unknown = DOUBLE;
  for (let count = 0; count < depth; count += 1) data = { kind: 'chain', steps: [data] };
  return data;
}

describe('fromJSON', () => {
  test('gives a signature that goes on like the first one', () => {
    const data = JSON.parse(JSON.stringify(chain(group([double, double]), sum).tag('a')));
    const again = fromJSON(app, data);
    expect(again.toJSON()).toEqual(data);
    expect(again.pipe(app.signature('double')).toJSON()).toMatchObject({ steps: [data, DOUBLE] });
    expect(again.tag('b').toJSON()).toMatchObject({ options: { tags: ['a', 'b'] } });
    expect(
      fromJSON(app, DOUBLE)
        .link(add.si({ x: 1, y: 2 }))
        .toJSON(),
    ).toMatchObject({ task: 'double' });
  });

  test('reads tasks that the app does not know', () => {
    expect(fromJSON(app, { kind: 'task', task: 'far' }).toJSON()).toEqual({ kind: 'task', task: 'far' });
  });

  test('takes no part in later changes of the data', () => {
    const data = { kind: 'chain', steps: [DOUBLE] };
    const signature = fromJSON(app, data);
    data.steps.push(SUM);
    expect(signature.toJSON()).toEqual({ kind: 'chain', steps: [DOUBLE] });
  });

  test('needs an app', () => {
    expect(() => fromJSON({} as App<never>, DOUBLE)).toThrow(InvalidOptionError);
  });

  test.each<[string, unknown]>([
    ['The data must be an object, not undefined.', undefined],
    ['The data must be an object, not null.', null],
    ['The data must be an object, not "{}".', '{}'],
    ['The data must be an object, not an array.', []],
    ['The data must be an object', new Date(0)],
    ['The data has an unknown `kind` (known: task, chain,', {}],
    ['The data has an unknown `kind`', { kind: 'cycle' }],
    ['The data has an unknown `kind`', { kind: 'toString' }],
    ['The data has an unknown `kind`', { kind: ['task'] }],
    ['task must be the name of a task, not undefined.', { kind: 'task' }],
    ['task must be the name of a task, not "umbel:run".', { kind: 'task', task: 'umbel:run' }],
    ['more must be absent (unknown field), not a number.', { ...DOUBLE, more: 1 }],
    ['__proto__ must be absent', JSON.parse('{ "kind": "task", "task": "a", "__proto__": {} }')],
    ['immutable must be true or absent, not a boolean.', { ...DOUBLE, immutable: false }],
    ['into must be a string, not a number.', { ...DOUBLE, into: 1 }],
    ['input must be an object of the keys', { ...DOUBLE, input: 3 }],
    ['input.at: JSON cannot carry a Date', { ...DOUBLE, immutable: true, input: { at: new Date() } }],
    ['options cannot be used: Expected `queue`', { ...DOUBLE, options: { queue: 'a b' } }],
    ['options cannot be used: Expected `options.more`', { ...DOUBLE, options: { more: 1 } }],
    ['callbacks.later must be absent', { ...DOUBLE, callbacks: { later: [] } }],
    ['callbacks.success must be a list', { ...DOUBLE, callbacks: { success: DOUBLE } }],
    ['callbacks.failure[0].task must be', { ...DOUBLE, callbacks: { failure: [{ kind: 'task' }] } }],
    ['callbacks.always[0] must be an object', { ...DOUBLE, callbacks: { always: [1] } }],
    ['steps must be a list, not undefined.', { kind: 'chain' }],
    ['steps must be a list of at least one step', { kind: 'chain', steps: [] }],
    ['steps[1] must be an object, not undefined.', { kind: 'chain', steps: [DOUBLE, undefined] }],
    ['The data must have either `ms` or `until`.', { kind: 'sleep' }],
    ['The data must have either `ms` or `until`.', { kind: 'sleep', ms: 1, until: 'a' }],
    ['until must have either a step or a condition.', { kind: 'loop', body: DOUBLE, max: 1, until: {} }],
    ['max cannot be used', { kind: 'loop', body: DOUBLE, until: { condition: { n: 1 } } }],
    ['everyMs cannot be used', { kind: 'loop', body: DOUBLE, until: { step: DOUBLE }, max: 1, everyMs: -1 }],
    [
      'budget.max must be a number greater than 0, not a number.',
      { kind: 'loop', body: DOUBLE, until: { step: DOUBLE }, max: 1, budget: { key: 'a', max: 0 } },
    ],
    ['ms cannot be used', { kind: 'sleep', ms: -1 }],
    ['until must be a string, not a number.', { kind: 'sleep', until: 1 }],
    ['members must be a list', { kind: 'group', members: { read: () => [] } }],
    ['keys must have 1 keys', { kind: 'group', members: [DOUBLE], keys: [] }],
    ['keys must not hold the same key twice', { kind: 'group', members: [DOUBLE, SUM], keys: ['a', 'a'] }],
    ['keys[0] must be a string', { kind: 'group', members: [DOUBLE], keys: [1] }],
    ["policy.kind must be 'settled', 'any' or 'atLeast'", { kind: 'group', members: [DOUBLE], policy: {} }],
    ['policy.count must be absent', { kind: 'group', members: [DOUBLE], policy: { kind: 'any', count: 1 } }],
    ['policy.count cannot be used', { kind: 'group', members: [DOUBLE], policy: { kind: 'atLeast' } }],
    ['members cannot be used: The group needs 1', { kind: 'group', members: [], policy: { kind: 'any' } }],
    ['cancelSiblings must be true', { kind: 'group', members: [], cancelSiblings: 'yes' }],
    ['header must be a group, not a task.', { kind: 'chord', header: DOUBLE, body: SUM }],
    ['body must be an object', { kind: 'chord', header: { kind: 'group', members: [] } }],
    ['step must be an object', { kind: 'map' }],
    ['inputs must be a list', { kind: 'map', step: DOUBLE, inputs: 'abc' }],
    ['inputs[1]: JSON cannot carry NaN', { kind: 'map', step: DOUBLE, inputs: [1, Number.NaN] }],
    ['inputs[0] must have 2 values', { kind: 'map', step: DOUBLE, keys: ['x', 'y'], inputs: [[1]] }],
    ['inputs[0] must be a list', { kind: 'map', step: DOUBLE, keys: ['x'], inputs: [1] }],
    ['chunkSize cannot be used', { kind: 'map', step: DOUBLE, chunkSize: 0 }],
    ['step must be a task to be packed', { kind: 'map', step: nested(1), chunkSize: 2 }],
    ['key must be a string', { kind: 'match', cases: { a: DOUBLE } }],
    ['cases must be an object of at least one step', { kind: 'match', key: 'k', cases: {} }],
    ['cases.a must be an object', { kind: 'match', key: 'k', cases: { a: 1 } }],
    ['test must be an object', { kind: 'when', onTrue: DOUBLE }],
    ['test must have either a step or a condition', { kind: 'when', test: {}, onTrue: DOUBLE }],
    [
      'test.condition.n.more is not a comparison',
      { kind: 'when', test: { condition: { n: { more: 1 } } }, onTrue: DOUBLE },
    ],
    ['test.step.task must be', { kind: 'when', test: { step: { kind: 'task' } }, onTrue: DOUBLE }],
    ['onTrue must be an object', { kind: 'when', test: { step: DOUBLE } }],
    ['onFalse must be an object', { kind: 'when', test: { step: DOUBLE }, onTrue: DOUBLE, onFalse: 1 }],
    ['other must be an object', { kind: 'fallback', step: DOUBLE }],
    ['step must be an object', { kind: 'flat' }],
    [
      'steps[1].members[0].cases.a.step.task must be the name of a task',
      {
        kind: 'chain',
        steps: [
          DOUBLE,
          {
            kind: 'group',
            members: [
              { kind: 'match', key: 'k', cases: { a: { kind: 'flat', step: { kind: 'task', task: 3 } } } },
            ],
          },
        ],
      },
    ],
  ])('refuses: %s', (message, data) => {
    expect(() => fromJSON(app, data)).toThrow(CanvasError);
    expect(() => fromJSON(app, data)).toThrow(message);
  });

  test('reads 500 levels, and refuses more without overflowing the stack', () => {
    expect(() => fromJSON(app, nested(500))).not.toThrow();
    expect(() => fromJSON(app, nested(501))).toThrow(/^….*steps\[0\] is nested deeper than 500 levels\.$/);
    expect(() => fromJSON(app, nested(100_000))).toThrow(CanvasError);
  });
});
