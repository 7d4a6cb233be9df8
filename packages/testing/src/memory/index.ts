import { checkOptions, type OptionNames } from '@umbel/core/internal';
import type { BackendFactory } from 'bullmq';
import { MemoryBackend } from './backend.js';
import { type BackendOptions, connect, type Shared } from './backend-base.js';
import { type Clock, systemClock } from './clock.js';
import { Store } from './store.js';

export type { Clock, ClockHandle } from './clock.js';
export { systemClock } from './clock.js';

/** What {@link memory} returns: the last constructor argument of BullMQ's classes. */
export type MemoryBackendFactory = BackendFactory;

/** How a {@link memory} store behaves. */
export interface MemoryOptions {
  /** The time by which delays, locks and limits run; the machine's own by default. */
  readonly clock?: Clock | undefined;
  /** Varies, repeatably, the order in which idle workers are served; first come, first served by default. */
  readonly seed?: number | undefined;
}

const OPTIONS: OptionNames<MemoryOptions> = { clock: true, seed: true };

/**
 * A new store in memory, as a backend factory for BullMQ's `Queue`, `Worker`, `FlowProducer` and
 * `QueueEvents`. All that are given this one share its jobs; two stores share nothing.
 */
export function memory(options: MemoryOptions = {}): MemoryBackendFactory {
  const { clock = systemClock, seed } = checkOptions(options, OPTIONS);
  return backendsOf(new Store(clock, seed));
}

/** Backends that share a store. */
export function backendsOf(store: Store): MemoryBackendFactory {
  const shared: Shared = { store, connections: new Set() };
  const factory: MemoryBackendFactory = (name, given, { withBlockingConnection = false } = {}) => {
    const backendOptions: BackendOptions = given;
    const connection = connect(shared, name, backendOptions, withBlockingConnection);
    return new MemoryBackend(shared, connection, name, backendOptions, true);
  };
  return Object.assign(factory, { [Symbol.for('umbel.in-process-store')]: true }); // core refuses further processes
}
