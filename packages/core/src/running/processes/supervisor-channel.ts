/** What ties a process of a worker to its supervisor. */
import { type FromProcess, readToProcess, type ToProcess } from './messages.js';

/** Does not keep the process alive. */
export class SupervisorChannel {
  readonly #onMessage: (message: unknown) => void;
  readonly #onLost: () => void;

  /** @param lost Called once, when the supervisor is gone. */
  constructor(obey: (order: ToProcess) => void, lost: () => void) {
    this.#onMessage = (message) => {
      const order = readToProcess(message);
      if (order !== undefined) obey(order);
    };
    this.#onLost = lost;
    process.on('message', this.#onMessage);
    process.once('disconnect', lost);
    process.channel?.unref();
    if (!process.connected) queueMicrotask(lost);
  }

  /** Settles when the message has gone out, or cannot. */
  send(message: FromProcess): Promise<void> {
    return new Promise((resolve) => {
      if (process.connected) process.send?.(message, () => resolve());
      else resolve();
    });
  }

  close(): void {
    process.off('message', this.#onMessage);
    process.off('disconnect', this.#onLost);
    if (process.connected) process.disconnect();
  }
}
