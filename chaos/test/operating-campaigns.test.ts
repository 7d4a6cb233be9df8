/** Deployments, a store that refuses writes, wrong clocks, schedules and limits, results that live shortly. */
import { test } from 'vitest';
import { findLibfaketime } from '../src/wrong-clock.js';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

test(
  'nothing is lost while versions of the code are deployed one after the other',
  {
    timeout: PATIENCE_MS,
  },
  () => nothingIsLost('deploy', 36, ['deployment', 'kill-worker']),
);

test(
  'no handler runs twice because the store is full or has too few replicas',
  {
    timeout: PATIENCE_MS,
  },
  () => nothingIsLost('refused', 30, ['full-memory', 'too-few-replicas']),
);

test.runIf(findLibfaketime() !== undefined)(
  'calls start when they are due, whatever the clocks of senders and workers say',
  { timeout: PATIENCE_MS },
  () => nothingIsLost('clocks', 32, ['kill-worker', 'kill-producer', 'kill-redis']),
);

test(
  'each occurrence of a schedule is sent once, and limits hold, while workers and Redis are killed',
  {
    timeout: PATIENCE_MS,
  },
  () => nothingIsLost('timed', 24, ['kill-worker', 'kill-redis']),
);

test(
  'results that live for less time than their workflows take are there until those end',
  {
    timeout: PATIENCE_MS,
  },
  () => nothingIsLost('ttl', 12, ['kill-worker']),
);
