import { runInNewContext } from 'node:vm';
import { RemoteError, UnrecoverableError, ValidationError } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import type { ErrorRecord } from '../../src/base/errors.js';
import { readErrorRecord, rebuildError, recordError, toError } from '../../src/codec/error-record.js';
import { maskFor } from '../../src/codec/masking.js';

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

describe('the name of an error in the store', () => {
  class CardDeclined extends Error {}
  class InvalidAmount extends RangeError {}
  class NoSuchUser extends UnrecoverableError {}
  class Named extends Error {
    override readonly name = 'E_NAMED';
  }

  test.each<[Error, string]>([
    [new CardDeclined('no'), 'CardDeclined'],
    [new InvalidAmount('no'), 'InvalidAmount'],
    [new NoSuchUser('no'), 'NoSuchUser'],
    [new Named('no'), 'E_NAMED'],
    [new (class extends Error {})('no'), 'Error'],
    [Object.assign(new CardDeclined('no'), { name: 'Declined' }), 'Declined'],
    [Object.assign(new Error('no'), { name: '' }), 'Error'],
    [new DOMException('no', 'AbortError'), 'AbortError'],
    [thrownBy(() => new URL('no address')), 'TypeError'],
    [runInNewContext(`class Foreign extends Error {}; new Foreign('no')`), 'Foreign'],
  ])('of %o is %s', (error, name) => {
    expect(recordError(error).name).toBe(name);
  });

  test('whose class is not known here is that of a RemoteError, with the code of Umbel', () => {
    expect(roundTrip(new NoSuchUser('who?'))).toMatchObject({
      constructor: RemoteError,
      name: 'NoSuchUser',
      code: 'UNRECOVERABLE',
    });
  });
});

describe('inner errors in the store', () => {
  test('of an AggregateError come back as one, with their causes', () => {
    const inner = [new TypeError('a', { cause: new RangeError('why') }), 'text', new Error('b')];
    const back = roundTrip(new AggregateError(inner, 'all failed')) as AggregateError;
    expect(back).toBeInstanceOf(AggregateError);
    expect(back.errors.map((error: Error) => `${error.name}: ${error.message}`)).toEqual([
      'TypeError: a',
      'NonError: text',
      'Error: b',
    ]);
    expect(back.errors[0].cause).toMatchObject({ message: 'why', constructor: RangeError });
  });

  test('of another error are kept as well', () => {
    class BatchFailed extends Error {
      constructor(readonly errors: readonly Error[]) {
        super('2 of 3 failed');
      }
    }
    const back = roundTrip(new BatchFailed([new TypeError('a'), new TypeError('b')])) as RemoteError;
    expect(back.name).toBe('BatchFailed');
    expect(back.errors?.map(({ message }) => message)).toEqual(['a', 'b']);
  });

  test('are ten of a list, thirty in all and five levels down, at most', () => {
    const many = (count: number) =>
      new AggregateError(Array.from({ length: count }, (_, n) => new Error(`${n}`)));
    expect(recordError(many(10))).not.toHaveProperty('omittedErrors');
    const record = recordError(many(12));
    expect(record.errors).toHaveLength(10);
    expect(record.omittedErrors).toBe(2);
    const wide = recordError(new AggregateError(Array.from({ length: 10 }, () => many(10))));
    expect(countOf(wide)).toBe(30);
    let deep: Error = new Error('0');
    for (let level = 1; level < 10; level += 1) deep = new AggregateError([deep], `${level}`);
    expect(countOf(recordError(deep))).toBe(6);
    expect(readErrorRecord(JSON.parse(JSON.stringify(wide)))).toEqual(JSON.parse(JSON.stringify(wide)));
  });

  test('in a circle, and of great size, are recorded within bounds', () => {
    const circle = new AggregateError([], 'round');
    circle.errors.push(circle, circle);
    expect(countOf(recordError(circle))).toBe(30);
    const long = Array.from({ length: 10 }, () => new Error('x'.repeat(1_000_000)));
    expect(JSON.stringify(recordError(new AggregateError(long))).length).toBeLessThan(100_000);
  });
});

describe('fields of an error in the store', () => {
  const fieldsOf = (fields: object) => recordError(Object.assign(new Error('e'), fields)).fields;

  test('are its own enumerable data, as JSON, and fields of the rebuilt error', () => {
    class HttpError extends Error {
      readonly status = 503;
      readonly body = { retryable: true, at: new Date(0), tags: ['a', undefined, 1n, -0] };
      readonly #hidden = 1;
      get hidden() {
        return this.#hidden;
      }
    }
    const error = new HttpError('unavailable');
    Object.defineProperty(error, 'secretly', { value: 1, enumerable: false });
    const body = { retryable: true, at: '1970-01-01T00:00:00.000Z', tags: ['a', null, '1', 0] };
    expect(recordError(error).fields).toEqual({ status: 503, body });
    expect(roundTrip(error)).toMatchObject({ name: 'HttpError', status: 503, body });
    expect(roundTrip(roundTrip(error))).toMatchObject({ name: 'HttpError', status: 503, body });
  });

  test('of lists that hold no errors stay lists', () => {
    expect(roundTrip(Object.assign(new Error('e'), { errors: [{ path: 'a' }] }))).toMatchObject({
      errors: [{ path: 'a' }],
    });
  });

  test('leave out objects of classes, functions and getters, and never call them', () => {
    const fields = {
      map: new Map(),
      run: () => 1,
      get got(): never {
        throw new Error('called');
      },
      toJSON: () => 'other',
      error: new RangeError('inner'),
    };
    const error = Object.defineProperties(new Error('e'), Object.getOwnPropertyDescriptors(fields));
    expect(recordError(error).fields).toEqual({ error: { name: 'RangeError', message: 'inner' } });
    const broken = new Proxy(new Error('e'), {
      ownKeys() {
        throw new Error('no keys');
      },
    });
    expect(recordError(broken)).toMatchObject({ name: 'Error', message: 'e' });
  });

  test('are of bounded size, depth and number', () => {
    const circle: Record<string, unknown> = { text: 'x'.repeat(100_000) };
    circle.self = circle;
    const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`key${n}`, circle]));
    expect(JSON.stringify(fieldsOf(wide)).length).toBeLessThan(10_000);
    expect(
      Object.keys(fieldsOf(Object.fromEntries(Object.keys(wide).map((key) => [key, 1]))) ?? {}),
    ).toHaveLength(50);
  });

  test('change no prototype, method or class, neither when they are written nor when they are read', () => {
    const planted = JSON.parse(
      '{"__proto__":{"isAdmin":true},"toString":1,"constructor":2,"at":{"__proto__":{"x":1}}}',
    );
    expect(fieldsOf({ at: planted.at })).toEqual({ at: {} });
    const record = readErrorRecord({ name: 'Planted', message: 'm', fields: planted });
    const back = rebuildError(record as ErrorRecord);
    expect(Object.getPrototypeOf(back)).toBe(RemoteError.prototype);
    expect(back).not.toHaveProperty('isAdmin');
    expect(back.constructor).toBe(RemoteError);
    expect(String(back)).toBe('Planted: m');
  });

  test('are hidden where they name a credential, and masked like the rest of the error', () => {
    const config = { headers: { Authorization: 'Bearer abc', 'x-api-key': 'k' }, password: 'p', tokens: 12 };
    expect(fieldsOf({ config, accessToken: 't' })).toEqual({
      config: { headers: { Authorization: '***', 'x-api-key': '***' }, password: '***', tokens: 12 },
      accessToken: '***',
    });
    const mask = maskFor(new Set(['pin']), [{ pin: 'hunter22' }]);
    const long = `${'x'.repeat(996)}hunter22 and more`;
    const inner = Object.assign(new Error('i'), { said: 'hunter22' });
    const error = Object.assign(new AggregateError([inner], 'm'), { said: ['is hunter22'], pin: 7, long });
    const masked = mask.error(recordError(error));
    expect(masked.fields).toMatchObject({ said: ['is ***'], pin: '***' });
    expect(masked.errors?.[0]?.fields).toEqual({ said: '***' });
    expect(JSON.stringify(masked)).not.toMatch(/hunt/);
  });

  test('that are stored in another form are not read', () => {
    expect(
      readErrorRecord({ name: 'E', message: 'm', fields: [1], errors: 'none', omittedErrors: 'x' }),
    ).toEqual({
      name: 'E',
      message: 'm',
    });
    const large = { text: 'x'.repeat(200_000) };
    expect(readErrorRecord({ name: 'E', message: 'm', fields: large })).toEqual({ name: 'E', message: 'm' });
  });
});

/** The error that a function throws. */
function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it should throw');
}

function countOf({ cause, errors = [] }: ErrorRecord): number {
  return (
    1 + [...errors, ...(cause === undefined ? [] : [cause])].reduce((sum, error) => sum + countOf(error), 0)
  );
}

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
