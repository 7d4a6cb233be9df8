import { InvalidOptionError } from '@umbel/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePosition, encodePosition, idBefore, previousId } from '../../src/ops/event-merge.js';
import { timeOfId } from '../../src/store/stream-position.js';

describe('a position', () => {
  const id = fc
    .tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat())
    .map(([ms, seq]) => `${ms}-${seq}`);
  const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,100}$/);

  test('is text that gives the same back', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, id)), id, (pairs, start) => {
        const position = { after: new Map(pairs), start };
        expect(decodePosition(encodePosition(position))).toEqual(position);
      }),
    );
  });

  test('is refused when it is anything else', () => {
    for (const text of [
      '',
      '1',
      '1,',
      '2,0-0',
      '1,0',
      '1,0-0,',
      '1,0-0,a',
      '1,0-0,a:1',
      '1,0-0,:1-1',
      '1,0-0,a:1-1,a:1-1',
      '1,0-0,a b:1-1',
      `1,0-0${',a:1-1'.repeat(50_000)}`,
      '1,0-0,__proto__:x',
    ])
      expect(() => decodePosition(text), text.slice(0, 40)).toThrow(InvalidOptionError);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          decodePosition(text);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidOptionError);
        }
      }),
    );
  });
});

test('the id before another one is the greatest below it', () => {
  expect(previousId('7-3')).toBe('7-2');
  expect(previousId('7-0')).toBe('6-18446744073709551615');
  expect(previousId('0-0')).toBe('0-0');
  expect(previousId('7-18446744073709551615')).toBe('7-18446744073709551614');
  expect(idBefore(7)).toBe('6-18446744073709551615');
  expect(idBefore(0)).toBe('0-0');
  expect(timeOfId('1795703120377-5')).toBe(1_795_703_120_377);
});
