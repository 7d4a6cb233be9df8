/**
 * This module checks that a connection keeps its session. A pooler such as PgBouncer may give the session to another client
 * after each transaction; then notifications are lost, and workers would find jobs seconds late.
 */
import { randomUUID } from 'node:crypto';
import { StoreConfigurationError } from '../../../base/errors.js';
import { clearTimeout, setTimeout } from '../../../base/real-timers.js';
import type { QueryRunner } from './database.js';
import type { PgClient } from './pg-driver.js';

/** The part of a client that notifications reach. */
interface NotifiedClient {
  on(event: 'notification', listener: (message: { readonly payload?: string | undefined }) => void): unknown;
}

/** Time limit for a notification. It arrives within milliseconds, if it arrives. */
const ARRIVES_MS = 5000;

const CHANNEL = 'umbel_probe';

/** Returns whether a connection leads to the server itself: a pooler tells its clients ids of its own. */
export async function isDirectConnection(client: Pick<PgClient, 'query' | 'processID'>): Promise<boolean> {
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
  return (rows as [{ pid: number }])[0].pid === client.processID;
}

/**
 * Checks that notifications reach a connection, if it leads through a pooler.
 * @throws {StoreConfigurationError} if they do not.
 */
export async function checkNotified(
  client: Pick<PgClient, 'query' | 'processID'> & NotifiedClient,
  query: QueryRunner,
): Promise<void> {
  if (await isDirectConnection(client)) return;
  const probe = randomUUID();
  await client.query(`LISTEN ${CHANNEL}`);
  let timer: NodeJS.Timeout | undefined;
  const arrived = new Promise<boolean>((resolve) => {
    client.on('notification', ({ payload }) => {
      if (payload === probe) resolve(true);
    });
    // What arrives while the process is busy is read before the second timer.
    timer = setTimeout(() => {
      timer = setTimeout(() => resolve(false), 1);
    }, ARRIVES_MS);
  });
  try {
    await query('SELECT pg_notify($1, $2)', [CHANNEL, probe]);
    if (!(await arrived)) throw new StoreConfigurationError(LOST);
    await client.query(`UNLISTEN ${CHANNEL}`);
  } finally {
    clearTimeout(timer);
  }
}

const LOST =
  'Notifications of PostgreSQL do not reach this process, which connects through a pooler: expected one that keeps ' +
  'sessions (for PgBouncer, `pool_mode = session`). Change the mode of the pooler, or connect to PostgreSQL directly.';
