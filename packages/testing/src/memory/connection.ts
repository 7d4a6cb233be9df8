import { EventEmitter } from 'node:events';
import { ConnectionClosedError } from 'bullmq';

/** What stands in for a Redis connection: its life, its name and the waits that end with it. */
export class Connection extends EventEmitter {
  static #opened = 0;

  readonly id: number;
  name: string;
  closing: Promise<void> | undefined;
  up = false;
  #blockingClosed = false;
  readonly #waits = new Set<() => void>();

  constructor(
    name: string,
    /** A caller-owned Redis client outlives the classes that use it, and so do their commands. */
    readonly outlivesClose: boolean,
    private readonly peers: Set<Connection>,
    /** Resolves when the connection is up. */
    readonly ready: Promise<void>,
  ) {
    super();
    Connection.#opened += 1;
    this.id = Connection.#opened;
    this.name = name;
    peers.add(this);
    void ready.then(() => {
      this.up = true;
      this.emit('ready');
    });
  }

  /** Throws once commands are no longer accepted. */
  assertOpen(): void {
    if (this.closing && !this.outlivesClose) throw new ConnectionClosedError();
  }

  /** Throws while blocking commands are not accepted. */
  assertBlocking(): void {
    if (this.closing || this.#blockingClosed) throw new ConnectionClosedError();
  }

  /** A function that unregisters the wait; `interrupt` ends it before its time. */
  registerWait(interrupt: () => void): () => void {
    this.#waits.add(interrupt);
    return () => this.#waits.delete(interrupt);
  }

  interruptWaits(): void {
    for (const interrupt of [...this.#waits]) interrupt();
  }

  disconnectBlocking(): void {
    this.#blockingClosed = true;
    this.interruptWaits();
  }

  reconnectBlocking(): void {
    this.#blockingClosed = false;
  }

  close(): Promise<void> {
    this.closing ??= this.#close();
    return this.closing;
  }

  async #close(): Promise<void> {
    this.peers.delete(this);
    this.interruptWaits();
    this.emit('close');
  }
}
