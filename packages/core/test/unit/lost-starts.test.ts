import { describe, expect, test } from 'vitest';
import type { LostStart } from '../../src/job/envelope.js';
import {
  exclusiveTimes,
  isPoison,
  isSuspicious,
  lossesOf,
  MAX_LOST_STARTS,
  spareStart,
  withBegunStart,
  withLosses,
  withRefusal,
  withSharedStart,
} from '../../src/worker/poison.js';

const NOW = 1_000_000_000;
const MINUTE_MS = 60_000;

const losses = (count: number, alone = false): LostStart[] =>
  Array.from({ length: count }, (_, index) => ({
    at: NOW - (count - index) * MINUTE_MS,
    start: index + 1,
    ...(alone && { alone: true as const }),
  }));

describe('a job that the store has put back', () => {
  test('has lost its first start, which may not have reached the handler', () => {
    expect(lossesOf(undefined, { stalls: 1, starts: 2 }, NOW)).toEqual([{ at: NOW, start: 1 }]);
  });

  test('has lost a start that had reached the handler', () => {
    const stored = withBegunStart(losses(1), { starts: 2, stalls: 1 }, false);
    expect(lossesOf(stored, { stalls: 2, starts: 3 }, NOW)).toEqual([...losses(1), { at: NOW, start: 2 }]);
  });

  test('keeps its losses where the same start is noted twice', () => {
    const stored = withBegunStart(losses(3), { starts: 4, stalls: 3 }, true);
    expect(lossesOf(stored, { stalls: 3, starts: 4 }, NOW)).toEqual(losses(3));
  });

  test('has lost a start in which it was alone', () => {
    const stored = withBegunStart(losses(2), { starts: 3, stalls: 2 }, true);
    expect(lossesOf(stored, { stalls: 3, starts: 4 }, NOW).at(-1)).toEqual({
      at: NOW,
      start: 3,
      alone: true,
    });
  });

  test('has lost a start in which it was alone only at first', () => {
    const stored = withBegunStart(losses(2), { starts: 3, stalls: 2 }, true);
    expect(withSharedStart(stored, { starts: 4, stalls: 3 })).toBeUndefined();
    const later = withSharedStart(stored, { starts: 3, stalls: 2 })?.lost;
    expect(lossesOf(later, { stalls: 3, starts: 4 }, NOW).at(-1)).toEqual({ at: NOW, start: 3 });
  });

  test('has no loss left once a start had an outcome', () => {
    const stored = withBegunStart(losses(4, true), { starts: 5, stalls: 4 }, true);
    expect(lossesOf(stored, { stalls: 4, starts: 6 }, NOW)).toEqual([]);
  });

  test('is refused again if its worker died before its refusal was stored', () => {
    const stored = withRefusal(losses(MAX_LOST_STARTS, true), { starts: 8, stalls: 7 });
    expect(isPoison(lossesOf(stored, { stalls: 8, starts: 9 }, NOW))).toBe(true);
  });

  test('has no loss left if it was refused and is replayed', () => {
    const stored = withRefusal(losses(MAX_LOST_STARTS, true), { starts: 8, stalls: 7 });
    expect(lossesOf(stored, { stalls: 7, starts: 9 }, NOW)).toEqual([]);
  });

  test('has lost nothing by a start that did not reach the handler', () => {
    const stored = withBegunStart(losses(1), { starts: 2, stalls: 1 }, false);
    expect(lossesOf(stored, { stalls: 2, starts: 4 }, NOW)).toEqual(losses(1));
    expect(lossesOf(withLosses(losses(2)), { stalls: 2, starts: 4 }, NOW)).toEqual(losses(2));
  });

  test('has lost the start that had reached the handler, also if later ones that did not are lost too', () => {
    const stored = withBegunStart(losses(2), { starts: 3, stalls: 2 }, true);
    expect(lossesOf(stored, { stalls: 5, starts: 6 }, NOW)).toEqual([
      ...losses(2),
      { at: NOW, start: 3, alone: true },
    ]);
  });

  test('has its losses counted as long as each follows the one before it within ten minutes', () => {
    const stored = (at: number[]) => withLosses(at.map((time, index) => ({ at: NOW + time, start: index })));
    const kept = (at: number[]) =>
      lossesOf(stored(at), { stalls: 9, starts: 9 }, NOW).map(({ start }) => start);
    expect(kept([-1_500_000, -1_000_000, -500_000])).toEqual([0, 1, 2]);
    expect(kept([-1_500_000, -600_000, -599_999])).toEqual([1, 2]);
    expect(kept([-600_000])).toEqual([]);
  });

  test('is read as an older version has stored it', () => {
    const stored = { at: [NOW - 9, NOW - 5], begun: { start: 3, stalls: 2 } };
    expect(lossesOf(stored, { stalls: 3, starts: 4 }, NOW)).toEqual([
      { at: NOW - 9, start: 0 },
      { at: NOW - 5, start: 0 },
      { at: NOW, start: 3 },
    ]);
  });
});

describe('a start whose worker lives', () => {
  const spared = (lost: Parameters<typeof spareStart>[0]['lost'], start: number) =>
    spareStart({ umbel: 1, ...(lost && { lost }) }, start)?.lost;

  test('is no loss: the first one', () => {
    expect(lossesOf(spared(undefined, 1), { stalls: 1, starts: 2 }, NOW)).toEqual([]);
  });

  test('is no loss: one that is not counted yet', () => {
    const stored = withBegunStart(losses(2), { starts: 3, stalls: 2 }, true);
    expect(lossesOf(spared(stored, 3), { stalls: 3, starts: 4 }, NOW)).toEqual(losses(2));
  });

  test('is no loss: one that was counted when the job was started once more', () => {
    const stored = withBegunStart(losses(3), { starts: 4, stalls: 3 }, true);
    const next = lossesOf(spared(stored, 3), { stalls: 4, starts: 5 }, NOW);
    expect(next).toEqual([...losses(3).slice(0, 2), { at: NOW, start: 4, alone: true }]);
  });

  test('changes nothing of a job that was failed already', () => {
    expect(spared({ at: [], fatal: [NOW] }, 3)).toBeUndefined();
  });
});

test('a job is suspicious from the second loss on', () => {
  expect(isSuspicious(losses(1))).toBe(false);
  expect(isSuspicious(losses(2))).toBe(true);
});

test('only losses of a job that ran alone make it poison', () => {
  expect(isPoison(losses(100))).toBe(false);
  expect(isPoison([...losses(2), ...losses(MAX_LOST_STARTS - 1, true)])).toBe(false);
  expect(isPoison([...losses(2), ...losses(MAX_LOST_STARTS, true)])).toBe(true);
  expect(isPoison(losses(1, true), 1)).toBe(true);
});

test('a job is alone for longer after each loss, so that a death that comes late is seen too', () => {
  const times = [2, 3, 4, 5, 6, 7].map((count) => exclusiveTimes(losses(count)));
  expect(times.map(({ exclusiveMs }) => exclusiveMs / 1000)).toEqual([1, 5, 25, 125, 600, 600]);
  expect(times.map(({ drainMs }) => drainMs / 1000)).toEqual([1, 5, 10, 10, 10, 10]);
});
