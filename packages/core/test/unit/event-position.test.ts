import { InvalidOptionError } from '@umbel/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePosition, encodePosition } from '../../src/ops/event-merge.js';
import { compareIds, idBefore, previousId, timeOfId } from '../../src/store/stream-position.js';

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

describe('ids of a store that does not sort events by time', () => {
  test('are compared by their two numbers', () => {
    expect(compareIds('9-5@2000', '10-1@1000')).toBeLessThan(0);
    expect(compareIds('10-9@1000', '10-10@1000')).toBeLessThan(0);
    expect(compareIds('10-10@1000', '10-10@1000')).toBe(0);
    expect(compareIds('0-0', '1-1@1000')).toBeLessThan(0);
  });

  test('are compared by time with a moment', () => {
    expect(compareIds(idBefore(1_795_703_120_377), '10-1@1795703120377')).toBeLessThan(0);
    expect(compareIds('10-1@999', idBefore(1001))).toBeLessThan(0);
    expect(compareIds(idBefore(2000), '10-1@1000')).toBeGreaterThan(0);
  });

  test('have a time, an id before them, and stand in positions', () => {
    expect(timeOfId('10-7@1795703120377')).toBe(1_795_703_120_377);
    expect(previousId('10-7@1795703120377')).toBe('10-6@1795703120377');
    const position = { after: new Map([['mail', '10-7@1795703120377']]), start: idBefore(1000) };
    expect(decodePosition(encodePosition(position))).toEqual(position);
  });
});
