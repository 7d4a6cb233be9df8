/** What a handler threw in its own process has the same effect in the worker's. */
import { expect, test } from 'vitest';
import { RetryRequest } from '../../src/task/retry.js';
import { rebuildThrown, recordThrown } from '../../src/worker/isolate/messages.js';

const sent = (error: Error) => rebuildThrown(JSON.parse(JSON.stringify(recordThrown(error))));

test.each([
  [77, true],
  [5, false],
  [undefined, false],
])('a wish for another attempt keeps its wait (%s) and whether it counts (%s)', (delayMs, isCounted) => {
  const asked = new RetryRequest('not there yet', delayMs, { cause: new Error('404') }, isCounted);
  const rebuilt = sent(asked);
  expect(rebuilt).toBeInstanceOf(RetryRequest);
  expect(rebuilt).toMatchObject({ message: 'not there yet', delayMs, isCounted, cause: { message: '404' } });
});
