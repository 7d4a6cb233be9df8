import { expect, test } from 'vitest';
import { waitingForRate } from '../../../src/store/guards/locks.js';

test('a worker whose rate is used up waits for a job until it ends, and looks again after 10 s', () => {
  const until = (limitedMs: number) => {
    const [job, id, limited, dueAt] = waitingForRate([null, 0, limitedMs, 0] as [
      null,
      number,
      number,
      number,
    ]);
    return [job, id, limited, Math.round((dueAt - Date.now()) / 100)];
  };
  expect(until(500)).toEqual([null, 0, 0, 5]);
  expect(until(86_400_000)).toEqual([null, 0, 0, 100]);
});

test('so does one that is told so by the commit of its last job', () => {
  const { finishedOn, result } = waitingForRate({ result: [null, 0, 5000, 0], finishedOn: 7 });
  expect(finishedOn).toBe(7);
  expect(result.slice(0, 3)).toEqual([null, 0, 0]);
  expect(result[3]).toBeGreaterThan(Date.now());
});

test('a job that is handed out, and a delayed one that is to come, stay as they are', () => {
  const job = [{ id: '1' }, '1', 0, 0];
  expect(waitingForRate(job)).toBe(job);
  expect(waitingForRate([null, 0, 0, 12])).toEqual([null, 0, 0, 12]);
  expect(waitingForRate([])).toEqual([]);
  expect(waitingForRate(undefined)).toBeUndefined();
  const finished = { result: undefined, finishedOn: 7 };
  expect(waitingForRate(finished)).toBe(finished);
});
