/** This module describes the part of the package `pg` that the engine uses, and loads it. */
import { optionalPeer } from '../../../base/modules.js';

/** Result of a statement. */
export interface SqlResult {
  // biome-ignore lint/suspicious/noExplicitAny: BullMQ declares rows like this
  readonly rows: any[];
  readonly rowCount?: number | null;
}

interface PgNotificationMessage {
  readonly channel: string;
  readonly payload?: string | undefined;
}

/** A client outside of a pool. */
export interface PgClient {
  /** Process of the server, as the server or a pooler says at the start. */
  readonly processID?: number | null;
  connect(): Promise<unknown>;
  query(text: string, params?: readonly unknown[]): Promise<SqlResult>;
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown;
  on(event: 'notification', listener: (message: PgNotificationMessage) => void): unknown;
  end(): Promise<void>;
}

/** A client of a pool. */
interface PooledClient {
  readonly processID?: number | null;
  query(text: string, params?: readonly unknown[]): Promise<SqlResult>;
  release(isBroken?: boolean): void;
}

/** A statement that a connection parses once. Its name belongs to one text. */
interface NamedStatement {
  readonly name: string;
  readonly text: string;
}

export interface PgPool {
  /** Number of statements that wait for a connection. */
  readonly waitingCount: number;
  query(statement: string | NamedStatement, params?: readonly unknown[]): Promise<SqlResult>;
  connect(): Promise<PooledClient>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  end(): Promise<void>;
}

/** The exports of `pg`. */
export interface Driver {
  readonly Pool: new (config: Record<string, unknown>) => PgPool;
  readonly Client: new (config: Record<string, unknown>) => PgClient;
}

/** Returns the package `pg`. @throws {MissingPackageError} if it is not installed. */
export function loadDriver(): Driver {
  return optionalPeer('pg', 'A connection to PostgreSQL', bundled) as Driver; // its public classes
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('pg');
  } catch {
    return undefined;
  }
}
