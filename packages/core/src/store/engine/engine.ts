/**
 * This module defines what Umbel needs to know of an engine: Redis, PostgreSQL, PGlite or memory. Nothing outside the folder
 * of an engine names it.
 */
import type { BackendFactory, ConnectionOptions, IQueueBackend } from 'bullmq';
import type { ClockReading, StoreTime } from '../store-time.js';
import type { EngineCommands } from './commands.js';
import type { OpenTransaction, TransactionScope } from './transaction.js';

/** Kinds of stores. `other` is a backend factory of the user. */
export type EngineKind = 'redis' | 'postgres' | 'pglite' | 'memory' | 'other';

/** Kinds of connections. `other`: one that this version does not know, or the memory of one process. */
export const CONNECTION_KINDS = ['redis', 'cluster', 'postgres', 'pglite', 'other'] as const;

/** The connection of a worker, without credentials. */
export interface ConnectionFacts {
  /** `other`: one that this version does not know, or the memory of one process. */
  readonly kind: (typeof CONNECTION_KINDS)[number];
  /** `host:port` or the path of a socket or a folder; for a cluster or sentinels, the configured addresses. */
  readonly addresses: readonly string[];
  /** Number of a Redis database; 0 for other stores. */
  readonly database: number;
  readonly isEncrypted: boolean;
}

/** State of a schema: it fits this version, has to be migrated, or was migrated by a newer version. */
export type SchemaState = 'current' | 'old' | 'newer';

/** The migrations of a store with a schema. */
export interface Migrations {
  /** Reads the state of the schema; needs no right to change it. */
  state(): Promise<SchemaState>;
  /** Migrates the schema, unless it is current. @throws {StoreConfigurationError} if a newer version has migrated it. */
  migrate(): Promise<void>;
  /** Returns the statements for a new or an older schema, as a script. Connects to nothing. */
  script(): Promise<string>;
}

/** The engine of an app, from its `connection` option. Creating it opens nothing. */
export interface Engine {
  readonly kind: EngineKind;
  /** Whether other processes can reach the same store at the same time. */
  readonly isShared: boolean;
  /** Whether the jobs end with this process. */
  readonly isInMemory?: true;
  /** The `connection` of BullMQ's classes. */
  readonly options: ConnectionOptions;
  readonly factory: BackendFactory<IQueueBackend>;
  /** Whether `options` is a client that the user has created and configured. */
  readonly isClient: boolean;
  /** Whether a command may stay without an answer, so that the connection has to be replaced. */
  readonly mayStaySilent: boolean;
  /** How much longer a command may take that opens the store. Absent for a server. */
  readonly openingMs?: number;
  /** Address for display, without user and password. */
  readonly address: string;
  /** Absent for a store without a schema. */
  readonly migrations?: Migrations;
  /**
   * Returns the use of a transaction of the user by one call; absent if the store is in no database of the user.
   * @throws {InvalidOptionError} for an object that is no transaction.
   */
  readonly inTransaction?: (transaction: OpenTransaction) => TransactionScope;
  /** Returns facts about the connection: only values that contain no secret. */
  describe(): ConnectionFacts;
  /** Returns what to do about an error; undefined for an unknown one. Without an error: about a store that does not answer. */
  advise(error: Error | undefined): string | undefined;
}

/** The engines of connections that are functions. */
const engines = new WeakMap<BackendFactory, Engine>();

/** Returns a function to use as the `connection` of an app with this engine. */
export function withEngine(factory: BackendFactory<IQueueBackend>, engine: Engine): BackendFactory {
  const connection = factory as BackendFactory; // BullMQ's type of a factory for its classes
  engines.set(connection, engine);
  return connection;
}

/** Returns the engine of a connection; undefined for a backend factory of the user. */
export function knownEngine(connection: BackendFactory): Engine | undefined {
  return engines.get(connection);
}

/** Facts about a store's server. Facts that it does not report are undefined or absent. */
export interface ServerFacts {
  readonly kind: EngineKind;
  /** Version of the server, or of the one that it is compatible with. */
  readonly version: string | undefined;
  /** How far the clock of this machine is ahead of the server's. */
  readonly clock: ClockReading | undefined;
  /** Whether its keys are spread over several servers. */
  readonly isCluster: boolean;
  /** Policy for a full memory. */
  readonly evictionPolicy?: string | undefined;
  /** Whether it has an append-only file. */
  readonly hasAppendOnlyFile?: boolean | undefined;
  /** Whether it waits for its disk before it confirms a change. */
  readonly isDurable?: boolean | undefined;
  /** Whether it removes dead rows by itself. */
  readonly hasAutovacuum?: boolean | undefined;
  /** Connections in use, and the maximum. */
  readonly connections?: ConnectionCounts | undefined;
  /** How long the oldest transaction of other clients has been open. */
  readonly oldestTransactionMs?: number | undefined;
}

/** Connections of a server. */
interface ConnectionCounts {
  readonly used: number;
  readonly max: number;
}

/** What a worker needs of its store. */
export interface StoreDemands {
  readonly prefix: string;
  readonly allowsEviction: boolean;
}

/** What an engine does with the backends that it owns. */
export interface EngineDriver {
  readonly kind: EngineKind;
  /** Whether the backend belongs to this engine, also one that a factory of the user has returned. */
  owns(backend: IQueueBackend): boolean;
  /** Returns the commands that BullMQ's contract lacks. */
  commands(backend: IQueueBackend): EngineCommands;
  facts(backend: IQueueBackend): Promise<ServerFacts>;
  /** Returns warnings. @throws {StoreConfigurationError} if jobs cannot run with this store, or would be lost. */
  check(facts: ServerFacts, demands: StoreDemands): string[];
  /** Prepares a connected backend; called again after an outage. */
  prepare(backend: IQueueBackend): Promise<void>;
  /** Makes calls of the same moment share commands; absent if the engine has none for many jobs. */
  shareCommands?(backend: IQueueBackend): void;
  /** Maximum number of jobs that a worker claims at the same time; absent for one. */
  readonly claimsAtOnce?: number;
  /** Whether a commit may wait for other transactions, for longer than the lock of its job lasts. */
  readonly commitsMayWait?: true;
  /** Converts times between BullMQ, which reads the clock of this machine, and the store. */
  keepTime(backend: IQueueBackend, time: StoreTime): void;
  /** Adds the guards of workers that only this engine needs, and those of `shareCommands` and `keepTime`. */
  guardWorker(backend: IQueueBackend, time: StoreTime): void;
  /** Restores commands that the store has forgotten. */
  restoreCommands(backend: IQueueBackend): Promise<void>;
  /** Prevents a reconnect of a closed backend. */
  stayClosed(backend: IQueueBackend): void;
  /** Returns true for an error of a command after which the same command may succeed. */
  isTransient(error: Error): boolean;
  /** Returns why the store refuses this app; undefined for other errors. */
  refusalOf(error: Error): StoreRefusal | undefined;
}

/** A refusal that only a change of the configuration ends. */
export type StoreRefusal = 'credentials' | 'rights' | 'database';
