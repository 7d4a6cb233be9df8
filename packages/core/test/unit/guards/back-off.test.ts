import { expect, test } from 'vitest';
import { backsOff } from '../../../src/store/guards/transient.js';
import { failing, stubBackend } from '../../support/stub-backend.js';

function refusing(errors: number, isClosing = () => false) {
  let waitedMs = 0;
  const refusals = Array.from({ length: errors }, () => new Error('NOPERM this user has no permissions'));
  const backend = stubBackend({ moveToActive: failing(refusals, ['job']).command });
  const pause = async (ms: number) => {
    waitedMs += ms;
  };
  backsOff(backend, { isClosing, pause });
  const ask = async () => {
    const before = waitedMs;
    const answer = await backend.moveToActive('token').catch(() => 'refused');
    return { answer, waitedMs: waitedMs - before };
  };
  return ask;
}

test('a store that refuses is asked ever more slowly, at least every five seconds', async () => {
  const ask = refusing(9);
  const waits: number[] = [];
  for (let asked = 0; asked < 9; asked += 1) waits.push((await ask()).waitedMs);
  expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
});

test('once it answers, the next refusal is waited for a moment only', async () => {
  const ask = refusing(2);
  await ask();
  await ask();
  expect(await ask()).toEqual({ answer: ['job'], waitedMs: 0 });
});

test('a worker that closes does not wait', async () => {
  const ask = refusing(1, () => true);
  expect(await ask()).toEqual({ answer: 'refused', waitedMs: 0 });
});

test('requests that are refused together count as one refusal', async () => {
  const ask = refusing(4);
  await Promise.all([ask(), ask(), ask()]);
  expect((await ask()).waitedMs).toBe(200);
});
