/** Campaigns on PostgreSQL. `npm run test:postgres` runs a part of the first; `npm run test:long` runs all. */
import { describe, test } from 'vitest';
import { IS_LONG, sized } from '../../test/support/length.js';
import { findPostgres } from '../../test/support/postgres-server.js';
import { nothingIsLost, PATIENCE_MS } from './support/program.js';

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
});
