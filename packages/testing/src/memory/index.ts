import { checkOptions, type OptionNames } from '@umbel/core/internal';
import type { BackendFactory } from 'bullmq';
import { MemoryBackend } from './backend.js';
import { type BackendOptions, connect, type Shared } from './backend-base.js';
import { type Clock, systemClock } from './clock.js';
import { Store } from './store.js';

export type { Clock, ClockHandle } from './clock.js';
export { systemClock } from './clock.js';

/** The result of {@link memory}: the last constructor argument of BullMQ's classes. */
export type MemoryBackendFactory = BackendFactory;

/** Options of {@link memory}. */
export interface MemoryOptions {
  /** Clock for delays and limits. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Seed that varies, repeatably, which idle worker gets a job. Default: the worker that waits longest. */
  readonly seed?: number | undefined;
}

const OPTIONS: OptionNames<MemoryOptions> = { clock: true, seed: true };

/**
 * Creates a store in memory: the `connection` of an app, or a backend factory for BullMQ's `Queue`, `Worker`,
 * `FlowProducer` and `QueueEvents`. All users of one store share its jobs; two stores share nothing.
 * @throws {InvalidOptionError} if an option is invalid.
 * @example
 * const app = createApp({ name: 'shop', connection: memory() });
 */
export function memory(options: MemoryOptions = {}): MemoryBackendFactory {
  const { clock = systemClock, seed } = checkOptions(options, OPTIONS);
  return backendsOf(new Store(clock, seed));
}

/** Returns a factory of backends that share a store. */
export function backendsOf(store: Store): MemoryBackendFactory {
  const shared: Shared = { store, connections: new Set() };
  const factory: MemoryBackendFactory = (name, queueOptions, { withBlockingConnection = false } = {}) => {
    const backendOptions: BackendOptions = queueOptions;
    const connection = connect(shared, name, backendOptions, withBlockingConnection);
    return new MemoryBackend(shared, connection, name, backendOptions, true);
  };
  return Object.assign(factory, { [Symbol.for('umbel.in-process-store')]: true }); // core then refuses workers with several processes
}
