/** What a stored event can become, from its own fields only. */
import { CONTROL_QUEUE } from '../bullmq/control.js';
import type { StreamEntry } from '../bullmq/event-streams.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { EventType } from './event.js';
import type { Merged } from './merge.js';

/** Kinds of change that are told. */
export type Change =
  | 'added'
  | 'again'
  | 'started'
  | 'progress'
  | 'returned'
  | 'delayed'
  | 'stalled'
  | 'completed'
  | 'failed'
  | 'removed';

const CHANGES: ReadonlyMap<string, Change> = new Map([
  ['added', 'added'],
  ['active', 'started'],
  ['progress', 'progress'],
  ['delayed', 'delayed'],
  ['stalled', 'stalled'],
  ['completed', 'completed'],
  ['failed', 'failed'],
  ['removed', 'removed'],
]);

/** The change of a job that an event tells; undefined for those that tell nothing new, or are in no form of BullMQ's. */
export function changeOf({ queue, entry, next }: Merged): { change: Change; id: string } | undefined {
  const { fields } = entry;
  const id = fields.get('jobId');
  if (queue === CONTROL_QUEUE || id === undefined || id === '') return undefined;
  const event = fields.get('event') ?? '';
  if (event !== 'waiting') {
    const change = CHANGES.get(event);
    return change && { change, id };
  }
  const before = fields.get('prev');
  if (before === 'failed' || before === 'completed') return { change: 'again', id };
  if (before !== 'active') return undefined;
  // A job whose worker was lost is put back and told of in one step.
  const isStalled = next?.fields.get('event') === 'stalled' && next.fields.get('jobId') === id;
  return isStalled ? undefined : { change: 'returned', id };
}

/** Whether an event only says that a job was added with a delay: that stands right behind it, and is no retry. */
export function isFirstDelay(before: StreamEntry | undefined, { fields }: StreamEntry): boolean {
  if (fields.get('event') !== 'delayed' || before?.fields.get('event') !== 'added') return false;
  return before.fields.get('jobId') === fields.get('jobId');
}

const OF_JOB: Readonly<Record<Change, readonly EventType[]>> = {
  added: ['enqueued'],
  again: ['enqueued'],
  started: ['started'],
  progress: ['progress'],
  returned: ['retried'],
  delayed: ['retried'],
  stalled: ['stalled'],
  completed: ['completed', 'skipped'],
  failed: ['failed', 'revoked', 'expired', 'skipped'],
  removed: [],
};

const OF_RUN: Readonly<Partial<Record<Change, readonly EventType[]>>> = {
  added: ['run-started'],
  again: ['run-started'],
  completed: ['run-finished'],
  failed: ['run-finished'],
};

/** The types of event that a change may be told as. */
export function typesOf(queue: string, change: Change): readonly EventType[] {
  return queue === INTERNAL_QUEUE ? (OF_RUN[change] ?? []) : OF_JOB[change];
}

/** Types of events, by the streams that tell them. */
export const RUN_TYPES: readonly EventType[] = ['run-started', 'run-finished'];
export const WORKER_TYPES: readonly EventType[] = ['worker-online', 'worker-offline'];
export const JOB_TYPES: readonly EventType[] = [...new Set(Object.values(OF_JOB).flat())];
