/** This module defines the transactions of users in which an app can send, if its store is in the same database. */
import type { Engine } from './engine.js';

/**
 * Runs a statement in a transaction of the user. `parameters` are the values of `$1`, `$2` and so on: texts, numbers,
 * booleans, null and arrays of them. Returns the rows as objects, alone or as `rows` of an object.
 */
export type StatementFunction = (
  statement: string,
  parameters: readonly unknown[],
) => PromiseLike<readonly object[] | { readonly rows: readonly object[] }>;

type AnyMethod = (...args: never[]) => unknown;

/**
 * An open transaction: the client of `pg` on which `BEGIN` ran, the transaction object of PGlite, Drizzle, Kysely or Prisma, or
 * a function that runs a statement in the transaction.
 */
export type OpenTransaction =
  | StatementFunction
  | { readonly query: AnyMethod }
  | { readonly execute: AnyMethod; readonly insert: AnyMethod }
  | { readonly executeQuery: AnyMethod; readonly isTransaction: boolean }
  | { readonly $queryRawUnsafe: AnyMethod };

/** What became of a transaction. `unknown`: the store has forgotten it, so it ended long ago. */
export type TransactionState = 'open' | 'committed' | 'rolled back' | 'unknown';

/** The use of a transaction by one call or workflow. */
export interface TransactionScope {
  /** The engine whose commands run in the transaction. */
  readonly engine: Engine;
  /** Whether the store runs no other command until the transaction ends, as it has one session. */
  readonly holdsStore: boolean;
  /** Checks that the transaction is open, in the database of the store. @throws {InvalidOptionError} if it is not. */
  begin(): Promise<void>;
  /** Ends the use: a later command throws. */
  end(): void;
  /** Returns what became of the transaction. Asks on a connection of the store. */
  state(): Promise<TransactionState>;
}
