import { runInNewContext } from 'node:vm';
import { RemoteError, ValidationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import type { ErrorRecord } from '../../src/errors.js';
import { rebuildError, recordError, toError } from '../../src/wire/error-record.js';

/** To the store and back. */
const roundTrip = (error: Error): Error =>
  rebuildError(JSON.parse(JSON.stringify(recordError(error))) as ErrorRecord);

describe('an error in the store', () => {
  test.each([[Error], [TypeError], [RangeError], [SyntaxError], [ReferenceError], [URIError], [EvalError]])(
    'comes back as the same class: %o',
    (Kind) => {
      const error = new Kind('why');
      const back = roundTrip(error);
      expect(back.constructor).toBe(Kind);
      expect(back).toMatchObject({ name: Kind.name, message: 'why', stack: error.stack });
    },
  );

  test('of another class comes back as a RemoteError with its name', () => {
    const error = Object.assign(new Error('gone'), { name: 'NotFound', code: 404 });
    const back = roundTrip(error);
    expect(back).toBeInstanceOf(RemoteError);
    expect(back).toMatchObject({ name: 'NotFound', message: 'gone', code: 404 });
  });

  test('keeps the issues of a ValidationError', () => {
    const issues = [{ path: 'input.x', message: 'expected a number' }];
    const back = roundTrip(new ValidationError('add', 'input', issues));
    expect(back).toBeInstanceOf(ValidationError);
    expect(back).toMatchObject({ task: 'add', subject: 'input', issues });
  });

  test('keeps its causes, five at most', () => {
    let error = new Error('0');
    for (let depth = 1; depth < 10; depth += 1) error = new Error(`${depth}`, { cause: error });
    const messages: string[] = [];
    for (let at: unknown = roundTrip(error); at instanceof Error; at = at.cause) messages.push(at.message);
    expect(messages).toEqual(['9', '8', '7', '6', '5', '4']);
  });

  test('with a circle of causes is recorded all the same', () => {
    const error = new Error('round');
    error.cause = error;
    expect(JSON.stringify(recordError(error)).length).toBeLessThan(100_000);
  });

  test('is of bounded size', () => {
    const record = recordError(new Error('x'.repeat(1_000_000)));
    expect(record.message).toHaveLength(10_000 + '… (1000000 characters)'.length);
    expect(JSON.stringify(record).length).toBeLessThan(30_000);
  });

  test('is of bounded size also in its issues', () => {
    const issue = { path: 'x'.repeat(100_000), message: 'y'.repeat(100_000) };
    const record = recordError(new ValidationError('add', 'input', Array(200).fill(issue)));
    expect(record.issues).toHaveLength(100);
    expect(JSON.stringify(record).length).toBeLessThan(300_000);
  });

  test('never brings a class by its stored name', () => {
    for (const name of ['Function', 'constructor', '__proto__', 'toString', 'Promise', 'process']) {
      expect(rebuildError({ name, message: 'planted' })).toBeInstanceOf(RemoteError);
    }
  });
});

describe('a thrown value', () => {
  test('that is an error of another realm keeps its message', () => {
    const foreign: unknown = runInNewContext(`new TypeError('the disk is full')`);
    expect(foreign instanceof Error).toBe(false);
    expect(toError(foreign)).toMatchObject({ name: 'TypeError', message: 'the disk is full' });
  });

  test('that is an error is given back as it is', () => {
    const error = new TypeError('t');
    expect(toError(error)).toBe(error);
  });

  test.each<[unknown, string]>([
    ['text', 'text'],
    [undefined, 'a value was thrown: undefined'],
    [null, 'a value was thrown: null'],
    [{ a: 1 }, 'a value was thrown: {"a":1}'],
    [1n, 'a value was thrown: bigint'],
  ])('%o becomes an error', (thrown, message) => {
    expect(toError(thrown)).toMatchObject({ name: 'NonError', message });
  });
});
