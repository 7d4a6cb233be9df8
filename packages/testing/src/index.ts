/** `@umbel/testing`: test apps with virtual time, assertions, and the memory store. */

export {
  assertEnqueued,
  assertEnqueuedExactly,
  assertRan,
  type EnqueuedOptions,
  type Expected,
  type RunOptions,
} from './assertions.js';
export { FakedTimersError, LeakError, NotAwaitedError, NothingLeftError, OpenWaitError } from './errors.js';
export type { CrashOptions, LostLockOptions, StoreErrorOptions } from './fakes.js';
export { type Behaviour, type Fake, type Sequence, sequence } from './fakes.js';
export type { Attempt, AttemptOutcome, EnqueuedCall } from './history.js';
export {
  type Clock,
  type ClockHandle,
  type MemoryBackendFactory,
  type MemoryOptions,
  memory,
  systemClock,
} from './memory/index.js';
export { type PerformOptions, type TestApp, type TestAppOptions, testApp } from './test-app.js';
