/**
 * This module adds all guards to the backend of a worker; they close gaps of BullMQ for every store. The numbers of these
 * failure windows in comments (W1, W2 …) are those of `docs/reliability.md`.
 */
import type { IQueueBackend } from 'bullmq';
import { driverOf } from '../engine/drivers.js';
import type { Claim, Claims } from '../held-job.js';
import type { EndedSet } from '../primitives/ended-jobs.js';
import type { StoreTime } from '../store-time.js';
import { persistsCommits } from './commits.js';
import { holdsSweepsOff, keepsEnded, keepsLocks } from './locks.js';
import { backsOff } from './transient.js';
import { failsUnreadable, readsWhole, type UnreadableListener } from './unreadable-jobs.js';

export interface GuardOptions {
  readonly claims: Claims;
  readonly lockDurationMs: number;
  readonly sweepIntervalMs: number;
  readonly onKept: (set: EndedSet, ms: number) => void;
  readonly pause: (ms: number) => Promise<void>;
  readonly isClosing: () => boolean;
  readonly time: StoreTime;
  /** Called with a claim whose job another worker has taken over. */
  readonly onLost: (claim: Claim) => void;
  readonly onUnreadable: UnreadableListener;
}

/** Adds all guards, innermost first. Returns the same backend, because BullMQ's classes compare backends by identity. */
export function guardWorker<Backend extends IQueueBackend>(backend: Backend, options: GuardOptions): Backend {
  const driver = driverOf(backend);
  driver?.guardWorker(backend, options.time);
  readsWhole(backend);
  keepsEnded(backend, options.onKept);
  failsUnreadable(backend, options.onUnreadable);
  keepsLocks(backend, options);
  persistsCommits(backend, { ...options, commitsMayWait: driver?.commitsMayWait === true });
  holdsSweepsOff(backend, options.sweepIntervalMs);
  backsOff(backend, options);
  return backend;
}
