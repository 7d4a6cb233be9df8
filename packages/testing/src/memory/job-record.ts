import type { FinishedStatus, ParentKeys } from 'bullmq';
import type { StoredOptions } from './job-options.js';
import type { Linked } from './linked-list.js';
import type { Scored } from './sorted-set.js';

/** The container of a queue that holds a job. */
export type Placement = FinishedStatus | 'wait' | 'active' | 'prioritized' | 'delayed' | 'waiting-children';

/** What a parent knows about its children; children are named by `prefix:queue:id`. */
export class Children {
  /** Not finished yet. */
  readonly pending = new Set<string>();
  /** Completed, with the JSON text of what they returned. */
  readonly processed = new Map<string, string>();
  /** Failed and ignored, with the reason. */
  readonly ignored = new Map<string, string>();
  /** Failed and failing the parent, with the time of the failure. */
  readonly unsuccessful = new Map<string, number>();
}

/** The stored state of one job. */
export class JobRecord implements Linked<JobRecord>, Scored {
  previous: JobRecord | undefined = undefined;
  next: JobRecord | undefined = undefined;
  score = 0;
  placement: Placement | undefined = undefined;

  delay = 0;
  priority = 0;
  attemptsMade = 0;
  attemptsStarted = 0;
  stalledCounter = 0;
  processedOn: number | undefined = undefined;
  finishedOn: number | undefined = undefined;
  /** JSON text. */
  progress: string | undefined = undefined;
  /** JSON text. */
  returnvalue: string | undefined = undefined;
  failedReason: string | undefined = undefined;
  /** JSON text. */
  stacktrace: string | undefined = undefined;
  deferredFailure: string | undefined = undefined;
  processedBy: string | undefined = undefined;
  repeatJobKey: string | undefined = undefined;
  deduplicationId: string | undefined = undefined;
  parentKey: string | undefined = undefined;
  parent: ParentKeys | undefined = undefined;
  children: Children | undefined = undefined;
  logs: string[] | undefined = undefined;
  /** A child of the flow that adds this job could not be attached, so adding must not release it. */
  attachmentFailed = false;

  lockToken: string | undefined = undefined;
  lockedUntil = 0;

  constructor(
    readonly id: string,
    readonly name: string,
    /** JSON text. */
    public data: string,
    readonly opts: StoredOptions,
    readonly timestamp: number,
  ) {}
}

/** A job about to be stored. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly data: string;
  readonly opts: StoredOptions;
  /** On the engine's clock. */
  readonly timestamp: number;
  readonly parentKey: string | undefined;
  readonly parent: ParentKeys | undefined;
  readonly repeatJobKey: string | undefined;
}
