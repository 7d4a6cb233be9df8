/** The part of the campaigns that `npm test` runs; `npm run test:long` runs them all (`*-campaigns.test.ts`). */
import { test } from 'vitest';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

test('nothing is lost in a short campaign in which workers are killed', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('kills', 18, ['kill-worker']),
);
