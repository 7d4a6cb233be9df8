import { describe, expect, test } from 'vitest';
import { decide, type ScheduleState } from '../../../src/schedule/decide.js';
import { normalizeSchedule } from '../../../src/schedule/options.js';

const MINUTE = 60_000;
/** Every ten minutes; the last slot was at 0. */
const state = (more: Partial<ScheduleState> = {}): ScheduleState => ({
  name: 'test',
  ...normalizeSchedule('test', { every: '10m' }),
  isPaused: false,
  since: -1,
  last: 0,
  waiting: [],
  ...more,
});
const at = (minutes: number) => minutes * MINUTE;

describe('a slot', () => {
  test('is fired when it is due, and not before', () => {
    expect(decide(state(), at(10) - 1)).toEqual({
      fire: [],
      skipped: [],
      waiting: [],
      isReplaced: false,
      last: 0,
      nextAt: at(10),
    });
    expect(decide(state(), at(10))).toMatchObject({ fire: [at(10)], last: at(10), nextAt: at(20) });
  });

  test('that is late by up to a minute was not missed', () => {
    expect(decide(state({ catchUp: 'skip' }), at(11))).toMatchObject({ fire: [at(10)], skipped: [] });
    expect(decide(state({ catchUp: 'skip' }), at(11) + 1)).toMatchObject({
      fire: [],
      skipped: [{ reason: 'missed', count: 1, latest: at(10) }],
      last: at(10),
      nextAt: at(20),
    });
  });

  test('before the schedule was stored or resumed is none', () => {
    expect(decide(state({ since: at(30) }), at(35))).toMatchObject({ fire: [], skipped: [], nextAt: at(40) });
  });

  test('in a pause is none, and nothing comes by itself', () => {
    const decision = decide(state({ isPaused: true, waiting: [at(0)] }), at(100));
    expect(decision).toEqual({ fire: [], skipped: [], waiting: [0], isReplaced: false, last: 0 });
  });
});

describe('slots that were missed', () => {
  test('by default are caught up with by the latest', () => {
    expect(decide(state(), at(55))).toMatchObject({
      fire: [at(50)],
      skipped: [{ reason: 'missed', count: 4, latest: at(40) }],
      last: at(50),
      nextAt: at(60),
    });
  });

  test('are not caught up with if one is due in time', () => {
    expect(decide(state(), at(60))).toMatchObject({
      fire: [at(60)],
      skipped: [{ count: 5, latest: at(50) }],
    });
  });

  test('are all fired if that is wanted, at most the latest thousand', () => {
    const all = { catchUp: 'all', overlap: 'allow' } as const;
    expect(decide(state(all), at(35)).fire).toEqual([at(10), at(20), at(30)]);
    const { fire, skipped } = decide(state(all), at(20_005));
    expect([fire.length, fire[0], fire.at(-1)]).toEqual([1000, at(10_010), at(20_000)]);
    expect(skipped).toEqual([{ reason: 'missed', count: 100, latest: at(10_000) }]);
  });

  test('may be millions', () => {
    const seconds = { name: 'test', ...normalizeSchedule('test', { every: '1s' }) };
    const year = 365 * 24 * 60 * MINUTE;
    expect(decide(state({ ...seconds, catchUp: 'one' }), year + 500)).toMatchObject({ last: year });
  });
});

describe('while a run goes on, a slot', () => {
  const running = (overlap: ScheduleState['overlap'], more: Partial<ScheduleState> = {}) =>
    decide(state({ overlap, runningMs: at(10), ...more }), at(10));

  test('is skipped', () => {
    expect(running('skip')).toMatchObject({
      fire: [],
      skipped: [{ reason: 'overlap', count: 1, latest: at(10) }],
      last: at(10),
    });
  });

  test('waits in a queue, and it is looked for the end of the run', () => {
    expect(running('queue')).toMatchObject({ fire: [], waiting: [at(10)], skipped: [], nextAt: at(11) });
    expect(decide(state({ overlap: 'queue', waiting: [1, 2], last: at(10) }), at(11))).toMatchObject({
      fire: [1],
      waiting: [2],
      nextAt: at(11) + 1000,
    });
  });

  test('does not wait beyond a thousand others', () => {
    const waiting = Array.from({ length: 1000 }, (_, n) => n);
    const decision = running('queue', { waiting });
    expect(decision.waiting).toEqual([...waiting.slice(1), at(10)]);
    expect(decision.skipped).toEqual([{ reason: 'overlap', count: 1, latest: 0 }]);
  });

  test('replaces it', () => {
    expect(running('replace')).toMatchObject({ fire: [at(10)], isReplaced: true });
    expect(decide(state({ overlap: 'replace' }), at(10))).toMatchObject({
      fire: [at(10)],
      isReplaced: false,
    });
  });

  test('is fired beside it', () => {
    expect(running('allow')).toMatchObject({ fire: [at(10)], skipped: [], isReplaced: false });
  });

  test('that has waited since before a pause is none', () => {
    expect(decide(state({ overlap: 'queue', waiting: [1, 2], since: 3, last: 2 }), at(1)).fire).toEqual([]);
  });
});

test('of several that are due, those fire that the policy lets', () => {
  const late = { ...normalizeSchedule('test', { every: '1s' }), last: 0 };
  const due = (overlap: ScheduleState['overlap']) => decide(state({ ...late, overlap }), 3000);
  expect(due('allow').fire).toEqual([1000, 2000, 3000]);
  expect(due('skip')).toMatchObject({
    fire: [1000],
    skipped: [{ reason: 'overlap', count: 2, latest: 3000 }],
  });
  expect(due('replace')).toMatchObject({ fire: [3000], skipped: [{ count: 2, latest: 2000 }] });
  expect(due('queue')).toMatchObject({ fire: [1000], waiting: [2000, 3000] });
});

test('after the last slot nothing comes', () => {
  const ending = normalizeSchedule('test', { every: '10m', end: new Date(at(20)) });
  const last = decide(state({ ...ending, last: at(10) }), at(20));
  expect(last).toMatchObject({ fire: [at(20)] });
  expect(last).not.toHaveProperty('nextAt');
});
