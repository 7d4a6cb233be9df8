/** Whether a soak tells what grows from what is only noisy. */
import { describe, expect, test } from 'vitest';
import { judgeSeries } from '../../bench/soak/judge.mjs';

/** Rests of a run of half an hour. */
const SAMPLES = 26;
const BASE = 1000;
const limits = { part: 0.1, floor: 10 };

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Samples of `shape`, which is given the time from 0 to 1, with noise of up to so large a part on both sides. */
function sampled(seed: number, noise: number, shape: (time: number, index: number) => number): number[] {
  const random = randomOf(seed);
  return Array.from(
    { length: SAMPLES },
    (_, index) => shape(index / SAMPLES, index) * (1 + noise * (2 * random() - 1)),
  );
}

/** Of 100 series of different noise, how many are level. */
function levelOf100(noise: number, shape: (time: number, index: number) => number): number {
  const seeds = Array.from({ length: 100 }, (_, seed) => seed);
  return seeds.filter((seed) => judgeSeries(sampled(seed, noise, shape), limits).isLevel).length;
}

describe('a figure of a soak', () => {
  test.each([
    ['noise', () => BASE],
    ['a saw of garbage', (_: number, index: number) => BASE * (1 + 0.3 * ((index % 3) / 3))],
    ['rare peaks', (_: number, index: number) => BASE * (index % 8 === 3 ? 4 : 1)],
    ['what fills in the first quarter', (time: number) => BASE * Math.min(1, 0.2 + 4 * time)],
    ['what falls', (time: number) => BASE * (2 - time)],
    ['zero', () => 0],
  ])('is level: %s', (_, shape) => {
    expect([0, 0.02, 0.06].map((noise) => levelOf100(noise, shape))).toEqual([100, 100, 100]);
  });

  test.each([
    ['a leak of a third, in noise of a fifteenth', 0.066, (time: number) => BASE * (1 + 0.33 * time)],
    ['a leak of a tenth, in noise of a fiftieth', 0.02, (time: number) => BASE * (1 + 0.1 * time)],
    ['a leak of a fourteenth, in noise of a seventieth', 0.014, (time: number) => BASE * (1 + 0.07 * time)],
    [
      'a leak under a saw',
      0.05,
      (time: number, index: number) => BASE * (1 + 0.35 * time + 0.3 * ((index % 3) / 3)),
    ],
    ['a leak that comes in steps', 0.04, (time: number) => BASE * (1 + 0.06 * Math.floor(4 * time))],
    ['a step in the last quarter', 0.04, (time: number) => BASE * (time > 0.75 ? 1.2 : 1)],
  ])('grows: %s', (_, noise, shape) => {
    expect(levelOf100(noise, shape)).toBe(0);
  });

  test('may grow by a floor where it is small, but not steadily', () => {
    const few = { part: 0.1, floor: 100 };
    const small = (growth: number) => sampled(1, 0.9, (time) => 40 + (time > 0.75 ? growth : 0));
    expect(judgeSeries(small(0), few).isLevel).toBe(true);
    expect(judgeSeries(small(250), few).isLevel).toBe(false);
    const steady = sampled(1, 0.01, (time) => 100 + 50 * time);
    expect(judgeSeries(steady, few)).toMatchObject({ isLevel: false, most: expect.closeTo(100 / 6) });
  });

  test('tells what it has compared, and needs enough samples', () => {
    const verdict = judgeSeries([...Array(8).fill(5), ...Array(8).fill(7), ...Array(16).fill(8)], limits);
    expect(verdict).toMatchObject({ second: 7, last: 8, growth: 1 });
    expect(() => judgeSeries(Array(15).fill(1), limits)).toThrow('16 samples');
  });
});
