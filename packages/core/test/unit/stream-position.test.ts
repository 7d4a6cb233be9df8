/** Where a reader of events stands, and how it notices that some were dropped before it has read them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { isLater, StreamPosition } from '../../src/store/stream-position.js';

test('events are compared by time, then by number', () => {
  expect(isLater('10-0', '9-5')).toBe(true);
  expect(isLater('9-5', '10-0')).toBe(false);
  expect(isLater('9-10', '9-9')).toBe(true);
  expect(isLater('9-9', '9-9')).toBe(false);
});

describe('a position', () => {
  let position: StreamPosition;
  /** What the store answers now; `readTo` is where reading stood when it was asked. */
  const note = (first: string | undefined, last: string | undefined, readTo = position.at) =>
    position.note(first, last, readTo);

  beforeEach(() => {
    position = new StreamPosition();
    expect(note('5-0', '7-0')).toBe(false);
    expect(position.at).toBe('7-0');
  });

  test('covers what comes after its start', () => {
    expect(position.covers('6-9')).toBe(false);
    expect(position.covers('7-0')).toBe(true);
    expect(position.covers('8-0')).toBe(true);
  });

  test('has no gap while an event that was passed is still there', () => {
    position.at = '12-0';
    expect(note('7-0', '12-0')).toBe(false);
    position.at = '20-0';
    expect(note('12-0', '31-0')).toBe(false);
  });

  test('has a gap once the store has dropped what was passed last', () => {
    position.at = '30-0';
    expect(note('7-1', '30-0')).toBe(true);
    expect(position.at).toBe('30-0');
    expect(note('29-0', '31-0')).toBe(false);
  });

  test('has a gap once events were dropped that were not read', () => {
    expect(note('9-0', '12-0')).toBe(true);
  });

  test('has a gap once the stream is gone, and begins with whatever comes then', () => {
    expect(note(undefined, undefined)).toBe(true);
    expect(position.at).toBe('0-0');
    expect(note(undefined, undefined)).toBe(false);
    expect(note('3-0', '3-0')).toBe(true); // perhaps not the first
    position.at = '3-0';
    expect(note('3-0', '4-0')).toBe(false);
  });

  test('goes back with a store that has lost its latest events', () => {
    position.at = '30-0';
    expect(note('5-0', '25-0')).toBe(true);
    expect(position.at).toBe('25-0');
    expect(position.covers('26-0')).toBe(true);
  });

  test('judges by where it stood when it asked', () => {
    const readTo = position.at;
    position.at = '30-0'; // read meanwhile
    expect(note('5-0', '25-0', readTo)).toBe(false);
    expect(position.at).toBe('30-0');
  });

  test('begins anew where the store stands when it was forgotten', () => {
    position.forget();
    expect(position.at).toBeUndefined();
    expect(note('90-0', '99-0')).toBe(false);
    expect(position.at).toBe('99-0');
  });

  test('of a store without events is before all of them', () => {
    const empty = new StreamPosition();
    expect(empty.note(undefined, undefined, undefined)).toBe(false);
    expect(empty.at).toBe('0-0');
  });
});
