/** The retry of a call, as it is stored with the job and read again. */
import { expect, test } from 'vitest';
import { retryOf, toJobOptions } from '../../src/bullmq/job-options.js';
import { INTERNAL_OPTIONS } from '../../src/flow/node.js';
import {
  type NormalizedRetry,
  normalizeRetry,
  type RetryDecisions,
  retryDelayMs,
  type TaskRetryOptions,
} from '../../src/tasks/retry.js';

/** A field that is longer makes a hash of Redis a table, of twice the size. */
const SHORT = 64;

test.each<TaskRetryOptions>([
  { attempts: 1 },
  { attempts: 2, delay: '2d' },
  { attempts: 5 },
  { attempts: 5, max: 2000 },
  { attempts: 5, jitter: 'equal' },
  { attempts: 5, jitter: false },
  { attempts: 40, max: '1h' },
  { attempts: 3, backoff: 'fixed', delay: 70, max: 50 },
  { attempts: 3, backoff: 'fixed', delay: 70, max: 90 },
  { attempts: 3, backoff: () => 5000, max: 1000 },
])('%j waits as it was sent', (retry) => {
  expectSameWaits(
    normalizeRetry(retry),
    typeof retry.backoff === 'function' ? { backoff: retry.backoff } : {},
  );
});

/** Whether a retry that was stored and read waits as the one that was sent. */
function expectSameWaits(sent: NormalizedRetry, decisions: RetryDecisions = {}): void {
  const read = retryOf(JSON.parse(JSON.stringify(toJobOptions({ retry: sent }))));
  for (let attempt = 1; attempt <= sent.attempts; attempt += 1) {
    for (const random of [0, 0.3, 1]) {
      const waits = [sent, read].map((options) =>
        retryDelayMs(new Error('again'), { attempt, options, decisions, random: () => random }),
      );
      expect(waits[1]).toBe(waits[0]);
    }
  }
}

test('of internal jobs is short, and waits as it was sent', () => {
  expectSameWaits(INTERNAL_OPTIONS.retry as NormalizedRetry);
  expect(JSON.stringify(toJobOptions(INTERNAL_OPTIONS)).length).toBeLessThanOrEqual(SHORT);
});

test('as older versions have stored it is read as it was', () => {
  const backoff = { type: 'exponential', delay: 50, jitter: 1, max: 86_400_000 };
  expect(retryOf({ attempts: 12, backoff })).toEqual(INTERNAL_OPTIONS.retry);
});

test('of calls is stored as a whole, in words that BullMQ reads too', () => {
  const { backoff } = toJobOptions({ retry: normalizeRetry({ attempts: 3, delay: 2000 }) });
  expect(backoff).toEqual({ type: 'exponential', delay: 2000, jitter: 1, max: 86_400_000 });
});
