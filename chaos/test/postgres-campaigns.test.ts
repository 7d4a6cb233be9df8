/** Campaigns on PostgreSQL. `npm run test:postgres` runs a part of the first; `npm run test:long` runs all. */
import { describe, test } from 'vitest';
import { IS_LONG, sized } from '../../test/support/length.js';
import { findPostgres } from '../../test/support/postgres-server.js';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

/** Each commit is on disk, and commits are made one after the other: on a slow disk, a lock of two seconds is too short. */
const SLOW_COMMITS = ['--lock-ms', '5000'];

const isListed = process.env.UMBEL_ENGINES?.split(',').includes('postgres') === true;

describe.runIf((isListed || IS_LONG) && findPostgres() !== undefined)('on PostgreSQL', () => {
  test(
    'nothing is lost when workers are killed, sessions end and the server restarts',
    {
      timeout: PATIENCE_MS,
    },
    () =>
      nothingIsLost(
        'kills',
        sized(12, 60),
        ['kill-worker', 'restart-immediate', 'restart-fast', 'cut-sessions'],
        'postgres',
      ),
  );

  test.runIf(IS_LONG)(
    'nothing is lost or done twice when producers are killed',
    {
      timeout: PATIENCE_MS,
    },
    () =>
      nothingIsLost(
        'submit',
        36,
        ['kill-producer', 'send-duplicates', 'kill-worker', 'cut-sessions'],
        'postgres',
      ),
  );

  test.runIf(IS_LONG)(
    'revokes hold while workers are killed and the server restarts',
    {
      timeout: PATIENCE_MS,
    },
    () => nothingIsLost('revoke', 36, ['revoke', 'kill-worker', 'cut-sessions'], 'postgres'),
  );

  test.runIf(IS_LONG).each([
    { scenario: 'network', faults: ['refuse', 'cut-before', 'cut-after', 'slow', 'kill-worker'] },
    { scenario: 'refused', faults: ['read-only', 'locked-table'] },
    { scenario: 'deploy', faults: ['deployment', 'kill-worker'] },
    { scenario: 'timed', faults: ['kill-worker', 'cut-sessions'] },
  ] as const)('nothing is lost in the scenario $scenario', { timeout: PATIENCE_MS }, ({ scenario, faults }) =>
    nothingIsLost(scenario, 36, faults, 'postgres', SLOW_COMMITS),
  );
});
