/** Producers that are killed, workflows that are revoked or poison, and a cluster that fails over. */
import { test } from 'vitest';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

test('nothing is lost or done twice when producers are killed', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('submit', 36, ['kill-producer', 'send-duplicates', 'kill-worker', 'kill-redis']),
);

test('revokes hold while workers and Redis are killed', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('revoke', 36, ['revoke', 'kill-worker', 'kill-redis']),
);

test('only poison is lost when tasks end their workers', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('poison', 36, ['kill-worker', 'poison-death']),
);

test('nothing is lost when a cluster fails over', { timeout: PATIENCE_MS }, () =>
  nothingIsLost('cluster', 20, ['fail-over', 'kill-worker']),
);
