/** This module describes the part of the package `@electric-sql/pglite` that the engine uses, and loads it. */
import { optionalPeer } from '../../../base/modules.js';

/** Result of a statement of PGlite. */
export interface PgliteResult {
  readonly rows: unknown[];
  readonly affectedRows?: number;
}

/** How a statement of PGlite reads its rows: functions by the number of a type. */
export interface PgliteRowParsers {
  readonly parsers?: Record<number, (text: string) => unknown>;
}

/**
 * The functions of PGlite that run statements.
 * @example
 * const { rows } = await db.query('SELECT count(*) FROM umbel.job');
 */
export interface PgliteStatements {
  /** Runs one statement with parameters. */
  query(text: string, params?: unknown[], options?: PgliteRowParsers): Promise<PgliteResult>;
  /** Runs statements without parameters. */
  exec(text: string, options?: PgliteRowParsers): Promise<PgliteResult[]>;
}

/**
 * A database of the package `@electric-sql/pglite`: what `new PGlite()` and `PGlite.create()` return.
 * @example
 * const opened: PgliteInstance = await PGlite.create('./data');
 * const app = createApp({ name: 'shop', connection: pglite({ db: opened }) });
 */
export interface PgliteInstance extends PgliteStatements {
  readonly closed: boolean;
  /** Runs statements as one transaction, while no other statement runs. */
  transaction<T>(statements: (session: PgliteStatements) => Promise<T>): Promise<T>;
  /** Calls `listener` for the notifications of a channel; returns a function that ends that. */
  listen(channel: string, listener: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** The exports of the package. */
export interface PglitePackage {
  readonly PGlite: { create(dataDir: string): Promise<PgliteInstance> };
}

/** Returns the package `@electric-sql/pglite`. @throws {MissingPackageError} if it is not installed. */
export function loadPglite(): PglitePackage {
  return optionalPeer('@electric-sql/pglite', 'A connection to PGlite', bundled) as PglitePackage; // its public class
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('@electric-sql/pglite');
  } catch {
    return undefined;
  }
}
