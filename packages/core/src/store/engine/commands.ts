/**
 * This module names the commands that BullMQ's contract lacks, for all engines, and holds what their implementations share.
 * Each file of `../primitives/` defines one group of them. Umbel also works without any of them; the comments there say
 * what is lost then.
 */
import type {
  ChildResults,
  CompactionPrimitive,
  EndedJobs,
  EndedTimePrimitive,
  UnendedJobs,
} from '../primitives/ended-jobs.js';

import type { HistoryPrimitives } from '../primitives/history.js';
import type { JobRecordsPrimitive } from '../primitives/job-records.js';
import type { Primitives } from '../primitives/jobs.js';
import type { LookPrimitive } from '../primitives/looks.js';
import type { PurgePrimitive } from '../primitives/purge.js';
import type { LimitPrimitive, QueueNamePrimitive } from '../primitives/queues.js';
import type { RunTreePrimitive } from '../primitives/run-trees.js';
import type { SignalPrimitives } from '../primitives/signals.js';
import type { EndedJobsPrimitive, OldEvents, StreamsPrimitive } from '../primitives/streams.js';
import type { TagPrimitives } from '../primitives/tags.js';

/** Commands of a backend beyond BullMQ's contract. A backend may lack some. */
export type EngineCommands = Partial<
  Primitives &
    LimitPrimitive &
    StreamsPrimitive &
    EndedJobs &
    EndedTimePrimitive &
    UnendedJobs &
    ChildResults &
    CompactionPrimitive &
    OldEvents &
    EndedJobsPrimitive &
    PurgePrimitive &
    RunTreePrimitive &
    JobRecordsPrimitive &
    TagPrimitives &
    SignalPrimitives &
    HistoryPrimitives &
    LookPrimitive &
    QueueNamePrimitive
>;

/** Queues of control messages and of the replies to them. */
export const CONTROL_QUEUE = 'umbel.control';
export const REPLY_QUEUE = 'umbel.replies';

/** Queues whose readers need each event once and at once, in no order. */
export const UNORDERED_QUEUES: ReadonlySet<string> = new Set([CONTROL_QUEUE, REPLY_QUEUE]);

/** Fields of a mark that a reader writes, so that the stream has an event to start from. */
export const MARK = { event: 'umbel:read' };

/** The states of `SeenJob` by the numbers of BullMQ's `isFinished`; -2 for a record of another type. */
export const JOB_STATUS = {
  '-2': 'unreadable',
  '-1': 'missing',
  '0': 'pending',
  '1': 'completed',
  '2': 'failed',
} as const;

/** Longest wait for a job while none is delayed, in seconds: BullMQ's `drainDelay`. */
export const IDLE_WAIT_S = 5;

/** Maximum number of jobs that one command of a purge checks, so that it blocks the store for a few milliseconds at most. */
export const PURGED_AT_ONCE = 250;

/** The queue, served by no worker, whose keys are the index of tags. */
export const TAG_QUEUE = 'umbel.tags';

/**
 * Times after which a note of an existing job is due again. For an ended job: after its retention, then every half hour.
 * For others: at growing intervals, at least once a day.
 */
export const TAG_CHECKS = { soonMs: 600_000, overdueMs: 1_800_000, longestMs: 86_400_000, ageShare: 8 };
