/** This module reads facts about a PostgreSQL server, and checks whether jobs can run with it. */
import { readServerClock } from '../../store-time.js';
import type { ServerFacts } from '../engine.js';
import type { SqlBackend } from './backend.js';
import { oldestTransaction } from './open-transactions.js';

interface FactRow {
  readonly version: string;
  readonly now: string;
  readonly fsync: string;
  readonly commits: string;
  readonly autovacuum: string;
  readonly max: number;
  readonly used: number;
}

export async function postgresFacts(backend: SqlBackend): Promise<ServerFacts> {
  const { answer: row, clock } = await readServerClock(
    async () => {
      const { rows } = await backend.query(
        `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
          current_setting('synchronous_commit') AS commits, current_setting('autovacuum') AS autovacuum,
          current_setting('max_connections')::int AS max,
          (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used, (extract(epoch FROM clock_timestamp()) * 1000)::text AS now`,
      );
      return (rows as [FactRow])[0];
    },
    ({ now }) => Number(now),
  );
  const oldest = await oldestTransaction(backend.sql.database);
  return {
    kind: 'postgres',
    version: row.version.split(' ')[0],
    clock,
    isCluster: false,
    isDurable: row.fsync === 'on' && row.commits !== 'off',
    hasAutovacuum: row.autovacuum === 'on',
    connections: { used: row.used, max: row.max },
    ...(oldest !== undefined && { oldestTransactionMs: oldest.openMs }),
  };
}

/** Returns warnings. */
export function checkPostgres({ isDurable, hasAutovacuum }: ServerFacts): string[] {
  return [...(isDurable === false ? [NOT_DURABLE] : []), ...(hasAutovacuum === false ? [NO_AUTOVACUUM] : [])];
}

const NOT_DURABLE =
  'the store does not wait for its disk (fsync or synchronous_commit is off): after a crash of the server, its last ' +
  'changes are lost. Set both to on to keep them';
const NO_AUTOVACUUM =
  'autovacuum of the store is off: its tables grow with each job and become slow. Set autovacuum to on';
