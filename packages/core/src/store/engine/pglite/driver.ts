/** This module is the driver of PGlite: it differs from PostgreSQL in the facts only. */
import type { IQueueBackend } from 'bullmq';
import { readServerClock } from '../../store-time.js';
import type { EngineDriver, ServerFacts } from '../engine.js';
import type { SqlBackend } from '../postgres/backend.js';
import { POSTGRES } from '../postgres/driver.js';
import { PgliteDatabase } from './database.js';

export const PGLITE: EngineDriver = {
  ...POSTGRES,
  kind: 'pglite',
  owns: (backend) => POSTGRES.owns(backend) && sqlOf(backend).sql.database instanceof PgliteDatabase,
  facts: pgliteFacts,
  check: () => [], // `umbel doctor` and the documentation say what PGlite does not promise
};

const sqlOf = (backend: IQueueBackend) => backend as unknown as SqlBackend;

async function pgliteFacts(backend: IQueueBackend): Promise<ServerFacts> {
  const { answer, clock } = await readServerClock(
    async () => {
      const { rows } = await sqlOf(backend).query(
        `SELECT current_setting('server_version') AS version,
          (extract(epoch FROM clock_timestamp()) * 1000)::text AS now`,
      );
      return (rows as [{ version: string; now: string }])[0];
    },
    ({ now }) => Number(now),
  );
  return { kind: 'pglite', version: answer.version.split(' ')[0], clock, isCluster: false, isDurable: false };
}
