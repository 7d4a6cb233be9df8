/** Orders to all workers of an app, by the event stream of a queue that holds no job. They may be missed. */
import type { BackendOptions } from './backends.js';
import { type Events, eventsOf } from './events.js';
import type { Store } from './store.js';

/** Its events also tell which workers come and go. */
export const CONTROL_QUEUE = 'umbel.control';
const KEPT_ORDERS = 1000;

/** To give up the attempt at a job. */
export interface ControlOrder {
  readonly queue: string;
  readonly id: string;
}

/** Tells every worker to give up the attempt at a job. */
export async function terminate(store: Store, { queue, id }: ControlOrder): Promise<void> {
  await store.on(CONTROL_QUEUE, (control) =>
    control.getBackend().publishEvent({ event: 'terminate', queue, id }, KEPT_ORDERS),
  );
}

/** Receives orders until it is closed. */
export class ControlListener {
  readonly #events: Events;

  constructor(options: BackendOptions, obey: (order: ControlOrder) => void) {
    this.#events = eventsOf(CONTROL_QUEUE, options);
    // Its types know BullMQ's own events only.
    const events = this.#events as unknown as {
      on(name: string, listener: (order: ControlOrder) => void): void;
    };
    events.on('terminate', obey);
  }

  async close(): Promise<void> {
    await this.#events.close();
  }
}
