import { describe, expect, test } from 'vitest';
import {
  EMPTY_REPORT,
  type FromProcess,
  readFromProcess,
  readToProcess,
  type ToProcess,
} from '../../../src/worker/supervisor/messages.js';

/** As it arrives. */
const sent = (message: unknown): unknown => JSON.parse(JSON.stringify(message));

describe('to a process', () => {
  test.each<ToProcess>([
    { umbel: 'abort' },
    { umbel: 'close', reason: 'signal', timeoutMs: 5 },
    { umbel: 'close', reason: 'changed' },
    { umbel: 'health', id: 1 },
    { umbel: 'set-concurrency', id: 2, concurrency: { min: 1, max: 3 } },
    { umbel: 'set-concurrency', id: 2, concurrency: 3, queue: 'a' },
    { umbel: 'add-queue', id: 3, queue: 'a' },
    { umbel: 'add-queue', id: 3, queue: 'a', concurrency: 4 },
    { umbel: 'remove-queue', id: 4, queue: 'a' },
  ])('$umbel arrives', (message) => {
    expect(readToProcess(sent(message))).toEqual(message);
  });

  test.each([
    undefined,
    'close',
    {},
    { umbel: 'other', id: 1 },
    { umbel: 'close' },
    { umbel: 'close', reason: 'other' },
    { umbel: 'health' },
    { umbel: 'set-concurrency', id: 1, concurrency: { min: 1 } },
    { umbel: 'add-queue', id: 1 },
    { umbel: 'remove-queue', queue: 'a' },
    { type: 'of the program', umbel: 1 },
  ])('%j is none', (message) => {
    expect(readToProcess(message)).toBeUndefined();
  });
});

describe('from a process', () => {
  const attempt = { id: '1', task: 'a', queue: 'b', runId: 'c', attempt: 2, startedAt: new Date(3) };
  const error = { name: 'Error', message: 'text' };

  test.each<FromProcess>([
    { umbel: 'loaded' },
    { umbel: 'running' },
    { umbel: 'failed', error },
    { umbel: 'closing', reason: 'max-jobs' },
    { umbel: 'report', report: { ...EMPTY_REPORT, active: [attempt] } },
    { umbel: 'answer', id: 1 },
    { umbel: 'answer', id: 1, error },
    { umbel: 'answer', id: 1, health: { live: true, ready: false, reasons: ['it is'] } },
  ])('$umbel arrives', (message) => {
    expect(readFromProcess(sent(message))).toEqual(message);
  });

  test.each([
    undefined,
    { umbel: 'other' },
    { umbel: 'failed', error: 'text' },
    { umbel: 'closing', reason: 'other' },
    { umbel: 'report', report: {} },
    { umbel: 'answer' },
  ])('%j is none', (message) => {
    expect(readFromProcess(message)).toBeUndefined();
  });

  test('what is no number or no attempt of a report counts as none', () => {
    const report = { counts: { completed: 'x', failed: 2, other: 3 }, active: [1, { id: 1 }, attempt] };
    expect(readFromProcess(sent({ umbel: 'report', report }))).toEqual({
      umbel: 'report',
      report: { ...EMPTY_REPORT, counts: { ...EMPTY_REPORT.counts, failed: 2 }, active: [attempt] },
    });
  });
});
