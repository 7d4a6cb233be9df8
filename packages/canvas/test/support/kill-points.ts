/** Where a worker may die. */
import { INTERNAL_JOB } from '@umbel/core/internal';
import type { Moment } from './shapes.js';

/** A command of a worker, before it is sent or after it is answered. */
export interface CommandPoint {
  readonly when: 'before' | 'after';
  readonly command:
    | 'addFlow'
    | 'moveToActive'
    | 'moveToCompleted'
    | 'moveToDelayed'
    | 'moveToFailed'
    | 'moveToWaitingChildren';
  /** Only if this is the name of its job. */
  readonly job?: string;
}

export type KillPoint = CommandPoint | Moment;

/** A probe always fails, and the job of a schedule never ends. */
const OTHERS: readonly string[] = [INTERNAL_JOB.probe, INTERNAL_JOB.schedule];
const COMPLETING = ['add', 'sum', ...Object.values(INTERNAL_JOB).filter((job) => !OTHERS.includes(job))];

export const KILL_POINTS: readonly KillPoint[] = [
  'handler begins',
  'handler ends',
  { when: 'after', command: 'moveToActive' },
  ...(['before', 'after'] as const).flatMap((when): KillPoint[] => [
    { when, command: 'addFlow' },
    { when, command: 'moveToDelayed' },
    { when, command: 'moveToFailed' },
    { when, command: 'moveToWaitingChildren' },
    ...COMPLETING.map((job): KillPoint => ({ when, command: 'moveToCompleted', job })),
    { when, command: 'moveToFailed', job: INTERNAL_JOB.probe },
  ]),
];

export function nameOf(point: KillPoint): string {
  if (typeof point === 'string') return point;
  return `${point.when} ${point.command}${point.job === undefined ? '' : ` of ${point.job}`}`;
}
