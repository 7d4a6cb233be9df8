/**
 * This module listens for the notifications of a database: on one connection for all channels, which is opened again when it
 * is lost.
 */
import type { EventEmitter } from 'node:events';
import { setTimeout } from '../../../base/real-timers.js';
import type { QueryRunner } from './database.js';
import type { PgClient } from './pg-driver.js';
import { checkNotified } from './pooler.js';

/** A connection that can listen. */
type ListeningClient = Pick<PgClient, 'processID' | 'query' | 'on'>;

/** How the connection is opened and closed. */
export interface ListenerOptions<Client> {
  /** Opens the connection. Calls `lost` for its errors from the start: one that nobody hears ends the process. */
  open(lost: () => void): Promise<Client>;
  /** Prepares an open connection. */
  prepare?(client: Client): Promise<void>;
  close(client: Client): Promise<void> | void;
  /** Runs a statement on another connection. */
  query: QueryRunner;
  /** Emits `notification` with a channel and a payload, and `lost` when notifications may have been missed. */
  readonly target: EventEmitter;
}

/** Pause before the connection is opened again. */
const AGAIN_MS = 200;

export class Listener<Client extends ListeningClient> {
  readonly #options: ListenerOptions<Client>;
  /** Empty while nobody listens, also after `close`. */
  readonly #channels = new Set<string>();
  #client: Promise<Client> | undefined;
  /** The last statement. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ListenerOptions<Client>) {
    this.#options = options;
  }

  /** Listens to a channel. Once it has settled, no notification is missed while the connection lasts. */
  async listen(channel: string): Promise<void> {
    if (this.#channels.has(channel) && this.#client !== undefined) {
      await this.#client;
      await this.#last.catch(() => {}); // whoever began it gets the error
      return;
    }
    this.#channels.add(channel);
    await this.#inTurn(channel);
  }

  /** Runs the statement after those for other channels: a client may refuse several at once. */
  #inTurn(channel: string): Promise<unknown> {
    const next = async () => (await this.connect()).query(`LISTEN ${channel}`);
    this.#last = this.#last.then(next, next);
    return this.#last;
  }

  /** Returns the connection, which is opened if there is none. */
  connect(): Promise<Client> {
    if (this.#client === undefined) {
      const client = this.#open();
      this.#client = client;
      client.catch(() => {
        if (this.#client === client) this.#client = undefined;
      });
    }
    return this.#client;
  }

  /** Closes the connection; `listen` opens it again. */
  async close(): Promise<void> {
    const closing = this.#client;
    this.#client = undefined;
    this.#channels.clear();
    const client = await closing?.catch(() => undefined);
    if (client !== undefined) await this.#options.close(client);
  }

  async #open(): Promise<Client> {
    const { open, prepare, close, query, target } = this.#options;
    let client: Client | undefined;
    const lost = () => {
      if (this.#client === undefined || client === undefined) return;
      this.#client = undefined;
      void close(client);
      target.emit('lost');
      this.#listenAgain();
    };
    client = await open(lost);
    try {
      await prepare?.(client);
      await checkNotified(client, query);
    } catch (error) {
      void close(client);
      throw error;
    }
    client.on('end', lost);
    client.on('notification', ({ channel, payload = '' }) =>
      target.emit('notification', { channel, payload }),
    );
    return client;
  }

  /** Listens again, until that succeeds. */
  #listenAgain(): void {
    setTimeout(() => {
      const channels = [...this.#channels];
      if (channels.length === 0) return;
      Promise.all(channels.map((channel) => this.#inTurn(channel))).then(
        () => this.#options.target.emit('lost'),
        () => this.#listenAgain(),
      );
    }, AGAIN_MS).unref();
  }
}
