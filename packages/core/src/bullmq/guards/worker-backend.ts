/** The backend of a worker, with what BullMQ leaves open closed, for every store alike. */
import type { IQueueBackend } from 'bullmq';
import type { Claim, Claims } from '../claims.js';
import type { EndedSet } from '../primitives/ended-jobs.js';
import type { StoreTime } from '../store-time.js';
import { backsOff } from './back-off.js';
import { persistsCommits } from './commits.js';
import { keepsLocks } from './lock-renewal.js';
import { keepsLongResultsOut } from './long-results.js';
import { readsWhole } from './reads.js';
import { keepsEnded } from './retention.js';
import { keepsStoreTime } from './store-time.js';
import { holdsSweepsOff } from './sweeps.js';
import { failsUnreadable, type UnreadableListener } from './unreadable-jobs.js';

export interface GuardOptions {
  readonly claims: Claims;
  readonly lockDurationMs: number;
  readonly sweepIntervalMs: number;
  readonly onKept: (set: EndedSet, ms: number) => void;
  readonly pause: (ms: number) => Promise<void>;
  readonly isClosing: () => boolean;
  readonly time: StoreTime;
  /** Is told of a job that this worker has lost to another one. */
  readonly onLost: (claim: Claim) => void;
  readonly onUnreadable: UnreadableListener;
}

/** The backend with all guards, innermost first; itself, since BullMQ's classes compare backends. */
export function guardWorker<Backend extends IQueueBackend>(backend: Backend, options: GuardOptions): Backend {
  keepsLongResultsOut(backend);
  keepsStoreTime(backend, options.time);
  readsWhole(backend);
  keepsEnded(backend, options.onKept);
  failsUnreadable(backend, options.onUnreadable);
  keepsLocks(backend, options);
  persistsCommits(backend, options);
  holdsSweepsOff(backend, options.sweepIntervalMs);
  backsOff(backend, options);
  return backend;
}
