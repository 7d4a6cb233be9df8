/** This module reads facts about a PostgreSQL server, and checks whether jobs can run with it. */
import { readServerClock } from '../../store-time.js';
import type { ServerFacts } from '../engine.js';
import type { SqlBackend } from './backend.js';

interface FactRow {
  readonly version: string;
  readonly now: string;
  readonly fsync: string;
  readonly commits: string;
}

export async function postgresFacts(backend: SqlBackend): Promise<ServerFacts> {
  const { answer: row, clock } = await readServerClock(
    async () => {
      const { rows } = await backend.query(
        `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
          current_setting('synchronous_commit') AS commits, (extract(epoch FROM clock_timestamp()) * 1000)::text AS now`,
      );
      return (rows as [FactRow])[0];
    },
    ({ now }) => Number(now),
  );
  return {
    kind: 'postgres',
    version: row.version.split(' ')[0],
    clock,
    isCluster: false,
    isDurable: row.fsync === 'on' && row.commits !== 'off',
  };
}

/** Returns warnings. */
export function checkPostgres({ isDurable }: ServerFacts): string[] {
  if (isDurable !== false) return [];
  return [
    'the store does not wait for its disk (fsync or synchronous_commit is off): after a crash of the server, its last ' +
      'changes are lost. Set both to on to keep them',
  ];
}
