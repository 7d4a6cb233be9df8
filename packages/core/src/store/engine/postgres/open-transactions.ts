/**
 * This module finds the transaction that has been open for longest. Events that begin after it are held back for some
 * seconds, and the server cannot remove dead rows that it may still see.
 */
import type { SqlDatabase } from './database.js';

/** A transaction of the server that has changed something, or keeps an old view of the data. */
interface OldestTransaction {
  readonly pid: number;
  /** Name of the program; empty without one. Hidden from users without rights. */
  readonly program: string;
  readonly openMs: number;
}

const OLDEST = `SELECT pid, COALESCE(application_name, '') AS program,
    (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint::text AS "openMs"
  FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    AND backend_type = 'client backend' AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
  ORDER BY xact_start LIMIT 1`;

/** Returns the transaction that has been open for longest; undefined if there is none that this user may see. */
export async function oldestTransaction(
  database: Pick<SqlDatabase, 'query'>,
): Promise<OldestTransaction | undefined> {
  const { rows } = await database.query(OLDEST);
  const [row] = rows as { pid: number; program: string; openMs: string }[];
  return row === undefined ? undefined : { ...row, openMs: Number(row.openMs) };
}

/** Returns a message about events that were read late, if the transaction that delayed them is still open. */
export async function lateEvents(database: Pick<SqlDatabase, 'query'>): Promise<string | undefined> {
  const oldest = await oldestTransaction(database);
  if (oldest === undefined) return undefined;
  const { pid, program, openMs } = oldest;
  return (
    `events are read late, because a transaction has been open for ${Math.round(openMs / 1000)} s ` +
    `(process ${pid} of the server, program "${program}"). Commit it, or limit such transactions with ` +
    'idle_in_transaction_session_timeout'
  );
}
