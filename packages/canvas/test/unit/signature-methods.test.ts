/** What signatures of tasks and of compositions can be given beside options: a next step, callbacks, labels. */
import { CanvasError, chain, group } from '@umbel/canvas';
import { createApp, InvalidOptionError } from '@umbel/core';
import { SENDER, type Signed } from '@umbel/core/internal';
import { describe, expect, test } from 'vitest';
import { add, alarm, app, cleanup, double, scale, sum } from '../support/tasks.js';

const DOUBLE = { kind: 'task', task: 'double' } as const;
const ALARM = { kind: 'task', task: 'alarm' } as const;

const untyped = (fn: unknown) => fn as (...args: unknown[]) => unknown;

describe('pipe', () => {
  test('makes one flat chain', () => {
    const piped = double
      .pipe(double)
      .pipe(add.into('x', { y: 1 }))
      .pipe(double);
    expect(piped.toJSON()).toEqual(chain(double, double, add.into('x', { y: 1 }), double).toJSON());
  });

  test('keeps what belongs to the chain before it', () => {
    expect(chain(double, double).set({ priority: 1 }).pipe(double).toJSON()).toEqual({
      kind: 'chain',
      steps: [{ kind: 'chain', steps: [DOUBLE, DOUBLE], options: { priority: 1 } }, DOUBLE],
    });
    expect(chain(double, double).link(double).pipe(double).toJSON()).toMatchObject({
      steps: [{ kind: 'chain', callbacks: { success: [DOUBLE] } }, DOUBLE],
    });
  });

  test('goes on from a group', () => {
    expect(group([double]).pipe(sum).toJSON()).toEqual(chain(group([double]), sum).toJSON());
  });

  test('refuses what is no step', () => {
    expect(() => untyped((next: never) => double.pipe(next))(3)).toThrow(CanvasError);
    expect(() => untyped((next: never) => chain(double).pipe(next))(3)).toThrow(
      /^The argument of pipe is a number/,
    );
  });

  test('a thousand times is no deeper than once', () => {
    let piped = double.pipe(double);
    for (let count = 0; count < 1000; count += 1) piped = piped.pipe(double);
    expect(piped.toJSON()).toMatchObject({ kind: 'chain', steps: { length: 1002 } });
  });
});

describe.each([
  ['a task', double],
  ['a signature', double.si(1)],
  ['a composition', chain(double, double)],
])('callbacks of %s', (_, signature) => {
  test('are kept by the moment they are for', () => {
    const linked = signature.link(double).linkError(alarm).finally(cleanup.si());
    expect(linked.toJSON()).toEqual({
      ...signature.toJSON(),
      callbacks: {
        success: [DOUBLE],
        failure: [ALARM],
        always: [{ kind: 'task', task: 'cleanup', immutable: true }],
      },
    });
  });

  test('are kept once each, by what they are', () => {
    expect(signature.link(double).link(double).toJSON()).toMatchObject({ callbacks: { success: [DOUBLE] } });
    const twice = signature
      .link(add.si({ x: 1, y: 2 }))
      .link(add.si({ y: 2, x: 1 }))
      .link(add.si({ x: 1, y: 3 }));
    expect(twice.toJSON()).toMatchObject({ callbacks: { success: { length: 2 } } });
  });

  test('are not added to the signature itself', () => {
    signature.link(double);
    expect(signature.toJSON()).not.toHaveProperty('callbacks');
  });

  test('are signatures of the same app', () => {
    expect(() => untyped((callback: never) => signature.link(callback))(3)).toThrow(InvalidOptionError);
    expect(() => untyped((callback: never) => signature.linkError(callback))(3)).toThrow('`linkError`');
    expect(() => untyped((callback: never) => signature.finally(callback))(3)).toThrow('`finally`');
    const other = createApp({ name: 'other' }).task({ name: 'other', run: async () => 1 });
    expect(() => signature.link(other.si())).toThrow('of the same app');
  });

  test('are plain data', () => {
    function* members() {
      yield double.si(1);
    }
    expect(() => signature.link(group(members()))).toThrow(CanvasError);
  });
});

describe.each([
  ['a task', double],
  ['a composition', chain(double, double)],
])('tags of %s', (_, signature) => {
  test('add up, each once', () => {
    const tagged = signature
      .tag('a', 'b')
      .tag('b', 'c')
      .set({ tags: ['a', 'd'], priority: 1 });
    expect(tagged.toJSON()).toMatchObject({ options: { tags: ['a', 'b', 'c', 'd'], priority: 1 } });
    expect(tagged.set({ priority: 2 }).toJSON()).toMatchObject({ options: { tags: ['a', 'b', 'c', 'd'] } });
    expect(signature.toJSON()).not.toHaveProperty('options');
  });

  test('are at most 20 texts of 1 to 200 characters', () => {
    const labels = Array.from({ length: 20 }, (_value, index) => `${index}`);
    expect(
      signature
        .tag(...labels)
        .tag('3', 'x'.slice(1) || '4')
        .toJSON(),
    ).toMatchObject({
      options: { tags: labels },
    });
    expect(() => signature.tag(...labels).tag('one more')).toThrow('at most 20 texts, got 21');
    expect(() => signature.tag('')).toThrow('text of 1 to 200 characters');
    expect(signature.tag('x'.repeat(200)).toJSON()).toHaveProperty('options.tags.length', 1);
    expect(() => signature.tag('x'.repeat(201))).toThrow(InvalidOptionError);
    expect(() => untyped((label: never) => signature.tag(label))(3)).toThrow(InvalidOptionError);
    expect(() => untyped((tags: never) => signature.set({ tags }))('a')).toThrow('a list of texts');
  });
});

test('a callback of an app binds what has none', () => {
  const senderOf = (signature: object) => (signature as Signed)[SENDER];
  expect(senderOf(group([]))).toBeUndefined();
  expect(senderOf(group([]).link(sum))).toBe(app);
  expect(senderOf(scale.link(cleanup.si()))).toBe(app);
});

test('a signature is not awaitable', () => {
  for (const signature of [double, double.si(1), chain(double), app.signature('double')]) {
    expect('then' in signature).toBe(false);
  }
});

test('a contract without an app keeps its callbacks', () => {
  expect(scale.link(scale.si({ file: 'a' })).toJSON()).toMatchObject({
    callbacks: { success: { length: 1 } },
  });
});
