import { describe, expect, test } from 'vitest';
import { maskFor } from '../../src/wire/masking.js';

describe('a mask', () => {
  const input = {
    user: { name: 'Ada', pin: 123456 },
    token: 'abcd-efgh',
    tokens: ['abcd', 'x'],
    quote: 'say "hi"',
  };
  const mask = maskFor(new Set(['token', 'tokens', 'pin', 'quote']), [input]);

  test('hides values of its keys in texts, longer ones first', () => {
    expect(mask.text('abcd-efgh and abcd, pin 123456, x, Ada')).toBe('*** and ***, pin ***, x, Ada');
  });

  test('hides them as they stand within JSON', () => {
    expect(mask.text(JSON.stringify({ said: 'say "hi"' }))).toBe('{"said":"***"}');
  });

  test('hides them in values, and whatever stands at its keys', () => {
    expect(mask.value({ token: 1, deep: [{ pin: null, text: 'is abcd' }], n: 123456, m: 7 })).toEqual({
      token: '***',
      deep: [{ pin: '***', text: 'is ***' }],
      n: '***',
      m: 7,
    });
  });

  test('hides them in errors and their causes', () => {
    const record = {
      name: 'Error',
      message: 'bad abcd',
      stack: 'at abcd',
      cause: { name: 'E', message: '123456' },
    };
    expect(mask.error(record)).toEqual({
      name: 'Error',
      message: 'bad ***',
      stack: 'at ***',
      cause: { name: 'E', message: '***' },
    });
  });

  test('leaves what tells errors apart as it is, whatever its keys', () => {
    const other = maskFor(new Set(['name', 'code', 'data', 'failure']), [{ name: 'secret', data: 'hidden' }]);
    const record = {
      name: 'ExpectedFailureError',
      message: 'a secret',
      code: 'X',
      failure: 'bad',
      data: { is: 'hidden' },
    };
    expect(other.error(record)).toEqual({ ...record, message: 'a ***', data: { is: '***' } });
  });

  test('without keys changes nothing', () => {
    const none = maskFor(new Set(), [input]);
    expect(none.value(input)).toBe(input);
    expect(none.text('abcd')).toBe('abcd');
  });
});
