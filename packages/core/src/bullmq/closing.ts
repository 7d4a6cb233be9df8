/**
 * The end of an app's connections: none is opened any more, and those that are open end within a time, whatever the
 * store does.
 */
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { ClosedError, isUmbelError } from '../errors.js';
import type { ResolvedConnection } from './connection.js';
import { isTransient } from './guards/transient.js';

const { setTimeout, clearTimeout } = globalThis;

/** What of an app connects. */
export interface Connecting {
  readonly connection: ResolvedConnection;
  /** Aborted when the app is closed. */
  readonly closing: AbortController;
}

/** A store that is away, or frozen, answers no farewell. */
const FAREWELL_MS = 2000;

/** @throws {ClosedError} once the app is closed. */
export function refuseClosed({ closing }: Pick<Connecting, 'closing'>): void {
  if (closing.signal.aborted) throw appClosed();
}

export function appClosed(options?: ErrorOptions): ClosedError {
  return new ClosedError('The app was closed; make another with createApp().', options);
}

/** Every connection of an app is opened here. @throws {ClosedError} once the app is closed. */
export function connect(of: Connecting, ...args: Parameters<BackendFactory<IQueueBackend>>): IQueueBackend {
  refuseClosed(of);
  return of.connection.factory(...args);
}

/** The error of a call whose connections were closed under it: that they are gone is no outage. */
export function errorOfClosed(error: unknown): unknown {
  const isOutage = isUmbelError(error, 'CONNECTION') || isTransient(error);
  return isOutage ? appClosed({ cause: error }) : error;
}

/** Settles when `closed` does; cuts the backend off if that takes too long. Never rejects: it is of no use any more. */
export async function endBackend(backend: IQueueBackend, closed: Promise<unknown>): Promise<void> {
  if (await settlesSoon(closed)) return;
  // One ends what was never connected, the other what was: neither is waited for, since both wait for the store.
  backend.close(true).catch(() => {});
  backend.disconnect().catch(() => {});
}

/** Whether it settles within the time that a store may take. */
export async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), FAREWELL_MS);
  });
  const isSettled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([isSettled, late]);
  } finally {
    clearTimeout(timer);
  }
}
