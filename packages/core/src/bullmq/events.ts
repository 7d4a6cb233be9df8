import { type IQueueBackend, QueueEvents } from 'bullmq';
import type { BackendOptions } from './backends.js';
import { connect } from './closing.js';

export type Events = QueueEvents<unknown, IQueueBackend>;

/** After an event that could not be read. */
const AGAIN_MS = 1000;

/**
 * The events of a queue, from now until they are closed. BullMQ stops for good at the first that is not in its form,
 * which any program may have written; here reading goes on, from the latest one.
 */
export function eventsOf(queue: string, options: BackendOptions): Events {
  const { connection, prefix, onError } = options;
  const events: Events = new QueueEvents(
    queue,
    { connection: connection.options, prefix, autorun: false },
    (...args) => connect(options, ...args),
  );
  events.on('error', onError);
  void readOn(events, options);
  return events;
}

async function readOn(events: Events, { onError, pause }: BackendOptions): Promise<void> {
  while (events.closing === undefined) {
    try {
      return await events.run();
    } catch (error) {
      if (events.closing !== undefined) return;
      onError(error as Error); // BullMQ and Redis throw no others
      await pause(AGAIN_MS);
    }
  }
}
