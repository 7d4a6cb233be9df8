/**
 * The PostgreSQL of a test run: `POSTGRES_URL` if given, else a server started from the programs of this machine. Without
 * one, the tests on it are skipped, and the run says so. It is not started unless the project runs on it.
 */
import type { TestProject } from 'vitest/node';
import { runsOn } from './support/engine-names.js';
import { findPostgres, startPostgres } from './support/postgres-server.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Empty if there is none. */
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const isListed = runsOn(project, 'postgres');
  const given = process.env.POSTGRES_URL;
  const programs = findPostgres();
  if (!isListed || given || programs === undefined) {
    project.provide('postgresUrl', isListed ? (given ?? '') : '');
    if (isListed && !given) {
      console.warn(
        'The tests on PostgreSQL are skipped: install it (Debian: apt-get install postgresql), or set POSTGRES_URL.',
      );
    }
    return undefined;
  }
  const server = await startPostgres(programs);
  project.provide('postgresUrl', server.url);
  return server.stop;
}
