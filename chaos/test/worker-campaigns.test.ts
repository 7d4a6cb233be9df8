/** Workers that are killed, frozen, cut off from Redis and poisoned. */
import { test } from 'vitest';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

test('nothing is lost when workers are killed, and Redis now and then', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('kills', 60, ['kill-worker', 'kill-redis']),
);

test(
  'nothing is lost when Redis is killed and frozen, and event loops are blocked',
  { timeout: PATIENCE_MS },
  () =>
    nothingIsLost('redis', 40, ['kill-redis', 'kill-worker', 'freeze-redis', 'freeze-worker', 'block-loop']),
);

test('nothing is lost when connections break and commands are refused', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('network', 40, ['refuse', 'cut-before', 'cut-after', 'slow', 'kill-worker']),
);
