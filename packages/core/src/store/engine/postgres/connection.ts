/** This module gives BullMQ's backends a database that they share, in the form of BullMQ's own connection. */
import { EventEmitter } from 'node:events';
import type { PostgresConnection } from 'bullmq';
import { setTimeout } from '../../../base/real-timers.js';
import type { SqlDatabase } from './database.js';

/** The connection of one of BullMQ's objects: a user of a shared database. */
export class SharedConnection extends EventEmitter {
  readonly database: SqlDatabase;
  readonly schema: string;
  readonly hasListenClientKeepAlive = true;
  readonly pool: Pick<SqlDatabase, 'query'>;
  isClosing: Promise<void> | undefined;
  #isAnnounced = false;
  readonly #lost = () => this.emit('listenerinvalidated');

  constructor(database: SqlDatabase) {
    super();
    this.setMaxListeners(0);
    this.database = database;
    this.schema = database.schema;
    this.pool = { query: (text, params) => database.query(text, params) };
    database.retain(this);
    database.on('lost', this.#lost);
  }

  /** As the type that BullMQ's backend expects. It uses only the members of this class. */
  get forBullmq(): PostgresConnection {
    return this as unknown as PostgresConnection;
  }

  async waitUntilReady(): Promise<void> {
    await this.database.ready();
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    setTimeout(() => this.emit('ready'), 0); // as BullMQ's own
  }

  /** The name of a connection is only for display, and all backends share one. */
  async setListenClientName(): Promise<void> {}

  close(): Promise<void> {
    this.isClosing ??= this.#close();
    return this.isClosing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.database.off('lost', this.#lost);
    await this.database.release(this);
    this.emit('close');
  }
}
