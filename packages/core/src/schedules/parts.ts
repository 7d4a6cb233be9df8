import type { ScheduleStore } from '../bullmq/schedule-store.js';
import type { Store } from '../bullmq/store.js';
import type { ResultParts } from '../results/watching.js';
import type { Runtime } from '../runtime.js';
import type { InputChecks } from '../sending/checks.js';
import type { Sending } from '../sending/sending.js';
import type { Sealer } from '../wire/sealing.js';
import type { Declarations } from './declared.js';

/** What an app keeps its schedules with. */
export interface ScheduleParts {
  readonly declarations: Declarations;
  readonly schedules: ScheduleStore;
  readonly store: Store;
  readonly results: ResultParts;
  readonly runtime: Runtime;
  readonly sending: Sending;
  readonly checks: InputChecks;
  readonly sealer: Sealer;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly onError: (error: Error) => void;
}
