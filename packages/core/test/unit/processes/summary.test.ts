import { describe, expect, test } from 'vitest';
import { EMPTY_REPORT, healthOfAll, summed } from '../../../src/worker/supervisor/messages.js';

test('counts are added up, and attempts stand in the order of their starts', () => {
  const report = (completed: number, startedAt: number) => ({
    counts: { ...EMPTY_REPORT.counts, completed },
    repairs: { ...EMPTY_REPORT.repairs, started: 1 },
    active: [{ id: `${startedAt}`, task: 'a', queue: 'b', attempt: 1, startedAt: new Date(startedAt) }],
    concurrency: { b: 2, [`${startedAt}`]: 1 },
  });
  const { counts, repairs, active, concurrency } = summed([report(1, 30), report(2, 10), report(4, 20)]);
  expect(counts).toEqual({ ...EMPTY_REPORT.counts, completed: 7 });
  expect(repairs).toEqual({ ...EMPTY_REPORT.repairs, started: 3 });
  expect(active.map(({ id }) => id)).toEqual(['10', '20', '30']);
  expect(concurrency).toEqual({ b: 6, 10: 1, 20: 1, 30: 1 });
  expect(summed([])).toEqual(EMPTY_REPORT);
});

describe('the health of several processes', () => {
  const well = { live: true, ready: true, reasons: [] };
  const idle = { live: false, ready: false, reasons: ['queue "a" was not polled for 70 s'] };
  const away = { live: true, ready: false, reasons: ['the store does not answer'] };

  test('is ready while one process is', () => {
    expect(healthOfAll('running', [well, well])).toEqual(well);
    expect(healthOfAll('running', [well, 'starting'])).toEqual({
      ...well,
      reasons: ['process 1 is starting'],
    });
    expect(healthOfAll('running', [away, 'silent', well])).toEqual({
      ...well,
      reasons: ['process 0: the store does not answer', 'process 1 does not answer'],
    });
    expect(healthOfAll('running', [away, 'starting'])).toMatchObject({ live: true, ready: false });
    expect(healthOfAll('closing', [well])).toMatchObject({
      ready: false,
      reasons: ['the worker is closing'],
    });
  });

  test('is not live once a process says that it should not go on, or none answers', () => {
    expect(healthOfAll('running', [well, idle])).toMatchObject({ live: false, ready: true });
    expect(healthOfAll('running', ['silent', 'silent'])).toMatchObject({ live: false, ready: false });
    expect(healthOfAll('running', ['silent', 'starting'])).toMatchObject({ live: true });
    expect(healthOfAll('running', ['starting', 'starting'])).toMatchObject({ live: true });
    expect(healthOfAll('new', [])).toMatchObject({ live: true, ready: false });
    expect(healthOfAll('closed', [])).toMatchObject({ live: false, ready: false });
  });
});
