/** Tests on a PostgreSQL server of their own. */
import { afterAll, beforeAll, describe } from 'vitest';
import { loadDriver, type PgClient } from '../../packages/core/src/store/engine/postgres/pg-driver.js';
import { findPostgres, type PostgresServer, startPostgres } from './postgres-server.js';

interface OwnPostgres {
  /** The folder of the server's programs. */
  readonly programs: string;
  /** Runs while the tests do. */
  server(): PostgresServer;
  /** A connection that is open while the tests run. */
  client(): PgClient;
  /** A connection that is not open yet. */
  newClient(url: string): PgClient;
}

/** Describes `title` on a server of its own. Without PostgreSQL on this machine, its tests are skipped, with a warning. */
export function describeOnPostgres(
  title: string,
  suite: (postgres: OwnPostgres) => void,
  options: { timeout?: number } = {},
): void {
  const programs = findPostgres();
  if (programs === undefined)
    console.warn(`${title}: skipped. Install PostgreSQL (Debian: apt-get install postgresql).`);
  describe.runIf(programs !== undefined)(title, options, () => {
    let server: PostgresServer | undefined;
    let client: PgClient | undefined;
    const newClient = (url: string): PgClient => new (loadDriver().Client)({ connectionString: url });
    const running = <Part>(part: Part | undefined): Part => {
      if (part === undefined) throw new Error('the server has not been started yet');
      return part;
    };
    beforeAll(async () => {
      server = await startPostgres(programs ?? '');
      client = newClient(server.url);
      await client.connect();
    });
    afterAll(async () => {
      await client?.end();
      await server?.stop();
    });
    suite({
      programs: programs ?? '',
      server: () => running(server),
      client: () => running(client),
      newClient,
    });
  });
}
