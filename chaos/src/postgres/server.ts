/** The durable PostgreSQL of a campaign. */
import { join } from 'node:path';
import pg from 'pg';
import { findPostgres, type PostgresServer, startPostgres } from '../../../test/support/postgres-server.js';
import type { CampaignStore } from '../campaign-store.js';
import { postgresReader } from './stored-state.js';

export interface PostgresStore extends CampaignStore {
  readonly kind: 'postgres';
  readonly connection: { readonly url: string };
  readonly server: PostgresServer;
  /** Runs faults of the server one after the other: none can strike a server that another one restarts. */
  exclusively<T>(strike: () => Promise<T>): Promise<T>;
  /** Ends sessions of workers and senders: all, or those that run a statement. Returns how many there were. */
  cut(which: 'all' | 'active'): Promise<number>;
}

/** Starts a server on which each commit is on disk before it is acknowledged. Its log is in the folder of the campaign. */
export async function startPostgresStore(folder: string): Promise<PostgresStore> {
  const programs = findPostgres();
  if (programs === undefined)
    throw new Error('Campaigns on PostgreSQL need its programs: apt-get install postgresql');
  const server = await startPostgres(programs, { durable: true, log: join(folder, 'postgres.log') });
  const connection = { url: server.url };
  const leave = () => void server.kill();
  process.once('exit', leave);
  let last: Promise<unknown> = Promise.resolve();
  return {
    kind: 'postgres',
    connection,
    server,
    ready: async () => {}, // the server answers once it has started
    exclusively(strike) {
      const next = last.then(strike);
      last = next.catch(() => {}); // the strike's caller gets its error
      return next;
    },
    reader: () => postgresReader(server.url),
    async cut(which) {
      const client = new pg.Client({ connectionString: server.url });
      client.on('error', () => {}); // another fault may strike meanwhile
      try {
        await client.connect();
        const { rows } = await client.query<{ count: number }>(CUT[which]);
        return rows[0]?.count ?? 0;
      } catch {
        return 0; // a server that is away has no sessions
      } finally {
        await client.end().catch(() => {});
      }
    },
    stop() {
      process.off('exit', leave);
      return server.stop();
    },
  };
}

const SESSIONS =
  "SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity WHERE application_name LIKE 'umbel%'";
const CUT = { all: SESSIONS, active: `${SESSIONS} AND state = 'active'` };
