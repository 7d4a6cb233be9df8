/** What the functions make: plain data, and errors for what they cannot make it of. */
import {
  CanvasError,
  chain,
  chord,
  chunks,
  fallback,
  flat,
  group,
  map,
  match,
  starmap,
  when,
} from '@umbel/canvas';
import { createApp, InvalidOptionError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import {
  add,
  alarm,
  area,
  cleanup,
  double,
  fetchPage,
  greet,
  isLarge,
  measure,
  sum,
} from '../support/tasks.js';

const DOUBLE = { kind: 'task', task: 'double' } as const;
const SUM = { kind: 'task', task: 'sum' } as const;
const ADD = { kind: 'task', task: 'add' } as const;

/** Calls what the types forbid. */
const untyped = (fn: unknown) => fn as (...args: unknown[]) => unknown;

describe('chain', () => {
  test('keeps the steps in order', () => {
    expect(chain(double, double).toJSON()).toEqual({ kind: 'chain', steps: [DOUBLE, DOUBLE] });
    expect(chain.of([double, double]).toJSON()).toEqual(chain(double, double).toJSON());
  });

  test('of nothing is refused', () => {
    expect(untyped(chain)).toThrow(CanvasError);
    expect(() => chain.of([])).toThrow('A chain needs at least one step.');
  });

  test('names the place of what is no step, and says what it is', () => {
    expect(() => untyped(chain)(double, Promise.resolve())).toThrow(/^Step 2 of the chain is a promise/);
    expect(() => untyped(chain)(null)).toThrow(/^Step 1 of the chain is null/);
    expect(() => untyped(chain)([double])).toThrow(/^Step 1 of the chain is an array/);
    expect(() => untyped(chain)({})).toThrow(/is an object,/);
  });

  test('of tasks of two apps is refused', () => {
    const other = createApp({ name: 'other' }).task({ name: 'other', run: async () => 1 });
    expect(() => chain(other, double)).toThrow('different apps');
  });
});

describe('group', () => {
  test('holds members by place or by name', () => {
    expect(group([double, double]).toJSON()).toEqual({ kind: 'group', members: [DOUBLE, DOUBLE] });
    expect(group({ b: double, a: sum.si([]) }).toJSON()).toEqual({
      kind: 'group',
      keys: ['b', 'a'],
      members: [DOUBLE, { ...SUM, immutable: true, input: [] }],
    });
    expect(group([]).toJSON()).toEqual({ kind: 'group', members: [] });
  });

  test('says when it has its result', () => {
    expect(group.settled({ a: double }).toJSON()).toEqual({
      kind: 'group',
      members: [DOUBLE],
      keys: ['a'],
      policy: { kind: 'settled' },
    });
    expect(group.any({ a: double }).toJSON()).toEqual({
      kind: 'group',
      members: [DOUBLE],
      policy: { kind: 'any' },
    });
    expect(group.atLeast(1, [double, double]).toJSON()).toEqual({
      kind: 'group',
      members: [DOUBLE, DOUBLE],
      policy: { kind: 'atLeast', count: 1 },
    });
  });

  test('can skip the members that are not needed any more', () => {
    expect(group([double], { cancelSiblings: true }).toJSON()).toMatchObject({ cancelSiblings: true });
    expect(group.any([double], { cancelSiblings: true }).toJSON()).toMatchObject({ cancelSiblings: true });
    expect(group.atLeast(1, [double], { cancelSiblings: true }).toJSON()).toMatchObject({
      cancelSiblings: true,
    });
    expect(group.any([double], { cancelSiblings: 'running' }).toJSON()).toMatchObject({
      cancelSiblings: 'running',
    });
    expect(group([double], { cancelSiblings: false }).toJSON()).not.toHaveProperty('cancelSiblings');
    expect(() => untyped(group)([double], { cancelSiblings: 'yes' })).toThrow(InvalidOptionError);
  });

  test('that could never succeed is refused', () => {
    expect(() => group.any([])).toThrow('needs 1 of its members to succeed, but has none');
    expect(() => group.atLeast(3, [double, double])).toThrow(
      'needs 3 of its members to succeed, but has only 2',
    );
    expect(group.settled([]).toJSON()).toMatchObject({ members: [] });
  });

  test.each([0, -1, 1.5, Number.NaN, '2'])('at least %s is no count', (count) => {
    expect(() => group.atLeast(count as number, [double, double])).toThrow(InvalidOptionError);
  });

  test('names the member that is no step', () => {
    expect(() => untyped(group)([double, 3])).toThrow(/^Member 2 of the group is a number/);
    expect(() => untyped(group)({ a: double, b: undefined })).toThrow(
      /^Member "b" of the group is undefined/,
    );
  });
});

describe('chord', () => {
  const HEADER = { kind: 'group', members: [DOUBLE] };

  test('has a group and a body', () => {
    expect(chord([double], sum).toJSON()).toEqual({ kind: 'chord', header: HEADER, body: SUM });
  });

  test('takes a group of any policy as its header', () => {
    expect(chord(group([double]), sum).toJSON()).toEqual(chord([double], sum).toJSON());
    expect(chord(group.settled([double]), cleanup.si()).toJSON()).toMatchObject({
      header: { ...HEADER, policy: { kind: 'settled' } },
    });
  });

  test('refuses another composition as its header', () => {
    expect(() => untyped(chord)(chain(double), sum)).toThrow(
      'The header of the chord is a chain, not a group',
    );
    expect(() => untyped(chord)(double, sum)).toThrow('The header of the chord is a task, not a group');
    expect(() => untyped(chord)([double, 1], sum)).toThrow(/^Member 2 of the chord’s header is a number/);
  });
});

describe('map', () => {
  test('holds the step and the inputs', () => {
    expect(map(double, [1, 2]).toJSON()).toEqual({ kind: 'map', step: DOUBLE, inputs: [1, 2] });
    expect(map(chain(double, double), []).toJSON()).toMatchObject({ step: { kind: 'chain' }, inputs: [] });
  });

  test('without inputs takes those that the step before it gives', () => {
    expect(map(double).toJSON()).toEqual({ kind: 'map', step: DOUBLE });
  });

  test('refuses what is no list', () => {
    expect(() => untyped(map)(double, undefined)).toThrow('The inputs of map are undefined');
    expect(() => untyped(map)(double, 'abc')).toThrow('The inputs of map are a string');
    expect(() => untyped(map)(3, [])).toThrow(/^The step of map is a number/);
  });

  test('is not changed with the list it was given', () => {
    const inputs = [1];
    const mapped = map(double, inputs);
    inputs.push(2);
    expect(mapped.toJSON()).toMatchObject({ inputs: [1] });
  });
});

describe('starmap', () => {
  test('holds rows and the keys of their values', () => {
    expect(starmap(add, ['x', 'y'], [[1, 2]]).toJSON()).toEqual({
      kind: 'map',
      step: ADD,
      keys: ['x', 'y'],
      inputs: [[1, 2]],
    });
    expect(starmap(add, ['x', 'y']).toJSON()).toEqual({ kind: 'map', step: ADD, keys: ['x', 'y'] });
  });

  test('refuses rows that do not fit the keys', () => {
    expect(() => untyped(starmap)(add, ['x', 'y'], [[1, 2], [1]])).toThrow(
      'Row 2 of starmap has 1 values for the 2 keys "x", "y".',
    );
    expect(() => untyped(starmap)(add, ['x', 'y'], [3])).toThrow('Row 1 of starmap is a number');
  });

  test('refuses what are no keys', () => {
    expect(() => untyped(starmap)(add, ['x', 'x'], [])).toThrow('keys of starmap');
    expect(() => untyped(starmap)(add, 'xy', [])).toThrow('keys of starmap');
    expect(() => untyped(starmap)(add, [1], [])).toThrow('keys of starmap');
  });
});

describe('chunks', () => {
  test('says how many inputs are in a job', () => {
    expect(chunks(double, [1, 2, 3], 2).toJSON()).toEqual({
      kind: 'map',
      step: DOUBLE,
      inputs: [1, 2, 3],
      chunkSize: 2,
    });
    expect(chunks(double, 2).toJSON()).toEqual({ kind: 'map', step: DOUBLE, chunkSize: 2 });
  });

  test('are of calls of one task', () => {
    expect(chunks(add.s({ x: 1 }), [{ y: 1 }], 2).toJSON()).toMatchObject({ step: { input: { x: 1 } } });
    // @ts-expect-error the types say so, too
    expect(() => chunks(chain(double, double), [1], 2)).toThrow('not a chain');
  });

  test.each([0, 1.5, '2', undefined])('of %s inputs are refused', (size) => {
    expect(() => chunks(double, [1], size as number)).toThrow(InvalidOptionError);
  });
});

describe('match', () => {
  test('holds its cases by name', () => {
    expect(match('kind', { img: measure, page: fetchPage }).toJSON()).toEqual({
      kind: 'match',
      key: 'kind',
      cases: { img: { kind: 'task', task: 'measure' }, page: { kind: 'task', task: 'fetchPage' } },
    });
  });

  test('needs a key and at least one case, all of them steps', () => {
    expect(() => match('kind', {})).toThrow('at least one step');
    expect(() => untyped(match)('kind')).toThrow('at least one step');
    expect(() => untyped(match)(1, { a: double })).toThrow('needs the name of a key, got a number');
    expect(() => untyped(match)('kind', { a: 1 })).toThrow(/^Case "a" of match is a number/);
  });
});

describe('when', () => {
  test('holds its test and its branches', () => {
    expect(when(isLarge, double, cleanup.si()).toJSON()).toEqual({
      kind: 'when',
      test: { step: { kind: 'task', task: 'isLarge' } },
      onTrue: DOUBLE,
      onFalse: { kind: 'task', task: 'cleanup', immutable: true },
    });
    const condition = { width: { gt: 5, lte: 10 }, height: 3 };
    expect(when(condition, area).toJSON()).toEqual({
      kind: 'when',
      test: { condition },
      onTrue: { kind: 'task', task: 'area' },
    });
  });

  test.each<[unknown, string]>([
    [{}, 'condition must be an object with at least one key'],
    [undefined, 'not undefined'],
    [{ n: undefined }, 'condition.n must be'],
    [{ n: {} }, 'condition.n must be'],
    [{ n: [1] }, 'condition.n must be'],
    [
      { n: { more: 1 } },
      'condition.n.more is not a comparison (known: eq, ne, gt, gte, lt, lte, in, exists).',
    ],
    [{ n: { toString: 1 } }, 'condition.n.toString is not a comparison'],
    [{ n: { gt: true } }, 'condition.n.gt must be a string or a number, not a boolean.'],
    [{ n: { in: 'abc' } }, 'condition.n.in must be a list'],
    [{ n: { in: [{}] } }, 'condition.n.in must be a list'],
    [{ n: { exists: 1 } }, 'condition.n.exists must be true or false'],
    [{ n: { eq: new Date(0) } }, 'condition.n.eq must be'],
  ])('refuses %j as a condition', (condition, message) => {
    expect(() => untyped(when)(condition, area)).toThrow(message);
    expect(() => untyped(when)(condition, area)).toThrow(CanvasError);
  });

  test('needs steps as its branches', () => {
    expect(() => untyped(when)({ n: 1 }, 3)).toThrow(/^The second argument of when is a number/);
    expect(() => untyped(when)({ n: 1 }, double, undefined)).toThrow(
      /^The third argument of when is undefined/,
    );
  });
});

describe('fallback and flat', () => {
  test('hold their steps', () => {
    expect(fallback(double, alarm).toJSON()).toEqual({
      kind: 'fallback',
      step: DOUBLE,
      other: { kind: 'task', task: 'alarm' },
    });
    expect(flat(group([map(double, [1])])).toJSON()).toMatchObject({ kind: 'flat', step: { kind: 'group' } });
  });

  test('need steps', () => {
    expect(() => untyped(fallback)(1, alarm)).toThrow(/^The step of the fallback is a number/);
    expect(() => untyped(fallback)(double)).toThrow(/^The other step of the fallback is undefined/);
    expect(() => untyped(flat)([])).toThrow(CanvasError);
  });
});

describe('a part', () => {
  test('is not changed by what is made of it', () => {
    const part = chain(double, double);
    const before = JSON.stringify(part);
    group([
      part.set({ priority: 1 }),
      chain(part, double),
      part.link(double),
      part.tag('a'),
      part.pipe(double),
    ]);
    map(part, [1]);
    when(isLarge, part, part);
    fallback(part, greet.si({ name: 'a' }));
    expect(JSON.stringify(part)).toBe(before);
  });
});
