import { describe, expect, test } from 'vitest';
import { chainOf, isInside, memberOf, replacementAt } from '../../src/job/ids.js';
import { atSending, isSharedOptions, sharedOptions, workflowOptions } from '../../src/job/shared-options.js';
import { normalizeRetry } from '../../src/task/retry.js';

const retry = normalizeRetry({ attempts: 3 });

describe('the options of a workflow on a job', () => {
  test('are stored by name where the job has the same, and come back as they were', () => {
    const shared = { queue: 'a', priority: 2, retry, timeoutMs: 5, displayName: 'x', expiresAt: 9 };
    const stored = sharedOptions(shared, shared);
    expect(stored).toEqual({
      queue: true,
      priority: true,
      retry: true,
      timeout: true,
      label: true,
      expires: true,
    });
    expect(workflowOptions(stored, shared)).toEqual(shared);
    const other = { queue: 'b', priority: 0, retry: normalizeRetry({}), timeoutMs: 1, displayName: 'y' };
    const whole = sharedOptions(shared, { ...other, expiresAt: 1 });
    expect(workflowOptions(whole, { ...other, expiresAt: 1 })).toEqual(shared);
    expect(isSharedOptions(stored) && isSharedOptions(whole)).toBe(true);
  });

  test('leave out headers, tags and a delay, and are absent where there are none', () => {
    const none = { headers: { a: 'b' }, tags: ['t'], delayMs: 5 };
    expect(sharedOptions(none, { queue: 'a' })).toBeUndefined();
    expect(workflowOptions(undefined, { queue: 'a' })).toEqual({});
  });

  test('have an expiry as a moment once they are sent', () => {
    const own = sharedOptions({ expiresMs: 100 }, { expiresMs: 5 }) ?? {};
    expect(atSending(own, 1000)).toEqual({ expires: 1100 });
    const same = sharedOptions({ expiresMs: 100 }, { expiresMs: 100 }) ?? {};
    expect(atSending(same, 1000)).toEqual({ expires: true });
  });

  test.each([
    [null],
    ['text'],
    [{ queue: 'a:b' }],
    [{ queue: '' }],
    [{ priority: -1 }],
    [{ timeout: 0 }],
    [{ expires: 1e300 }],
    [{ label: 3 }],
    [{ retry: { attempts: 0 } }],
    [{ retry: { ...retry, delayMs: -1 } }],
    [{ retry: { ...retry, backoff: 'quick' } }],
  ])('of another shape are not read: %j', (value) => {
    expect(isSharedOptions(value)).toBe(false);
  });
});

test('what was put in a place again is in that place', () => {
  expect([replacementAt('0-1'), replacementAt('0-1', 1), replacementAt('', 2)]).toEqual([
    '0-1~',
    '0-1~2',
    '~3',
  ]);
  for (const path of ['0-1~', '0-1~2', '0-1~2~', '0-1^~3']) expect(chainOf(path)).toBe('0');
  expect(chainOf('0~2-0')).toBe('0~2');
  expect(memberOf('0~2.4')).toEqual({ group: '0~2', member: '0~2.4' });
  expect(isInside('0', '0~2-1')).toBe(true);
});
