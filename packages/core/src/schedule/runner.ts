/** The job of a schedule: decides, fires the slots that are due, notes what it did, and goes back until the next slot. */

import { CorruptJobError, type ErrorRecord, LockLostError } from '../base/errors.js';
import { revokeJobs } from '../client/result.js';
import { recordError, toError } from '../codec/error-record.js';
import { type Envelope, readEnvelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import { openTree } from '../job/job-tree.js';
import {
  noted,
  type OpenRun,
  type RunRecord,
  type ScheduleRecord,
  type SlotsRecord,
} from '../job/schedule-record.js';
import { scheduleId } from '../store/schedules.js';
import { Snooze } from '../worker/signals.js';
import { type Decision, decide, nextDecisionAt, type ScheduleState } from './decide.js';
import type { ScheduleParts } from './schedules.js';

// Sends what a schedule has for a slot. What is stored with the schedule is enough for it, in any worker of the app.

/** Headers by which a handler knows its slot. */
const HEADER = { name: 'umbel-schedule', slot: 'umbel-scheduled-at' } as const;

/** The id of what is sent for a slot. It is the same whoever sends it, and however often: so it is there once. */
export function slotRunId(name: string, slot: number): string {
  return `${scheduleId(name)}-${slot}`;
}

/**
 * Sends the target of a schedule under an id; again changes nothing.
 * @throws {ValidationError} if an input does not fit any more.
 */
export async function fire(
  { sealer, checks, sending, runtime }: ScheduleParts,
  { name, target }: ScheduleRecord,
  id: string,
  slot: number,
): Promise<OpenRun> {
  const node = await openTree(sealer, scheduleId(name), target);
  await checks.checkTree(node);
  await sending.sendPlanned(id, node, { [HEADER.name]: name, [HEADER.slot]: new Date(slot).toISOString() });
  return { id, queue: node.queue, at: runtime.clock.now() };
}

/** A schedule looks again at least so often: its time zone, or the clock, may have been changed. */
const MAX_SLEEP_MS = 86_400_000;
/** After a turn without progress, if there is something to do at once. */
const LEAST_IDLE_MS = 100;
/** After an error that is not the target's. */
const AFTER_ERROR_MS = 10_000;

/** Of the runs that a schedule has sent, those that had ended, and those that had not. */
interface Runs {
  readonly ended: readonly string[];
  readonly going: readonly OpenRun[];
}

/** Runs the job of a schedule. @throws {ComeBack} always, but for one that was removed. */
export async function runSchedule(parts: ScheduleParts, job: ActiveJob, envelope: Envelope): Promise<null> {
  const { schedule, slots = {} } = envelope;
  if (schedule === undefined || job.id !== scheduleId(schedule.name))
    throw new CorruptJobError(job.id, 'it belongs to no schedule');
  let next: Turn | undefined;
  let oldest: number | undefined;
  try {
    const runs = await runsOf(parts, schedule, slots);
    oldest = startOf(runs.going);
    next = schedule.removed === undefined ? await turn(parts, job, schedule, slots, runs) : undefined;
  } catch (error) {
    // Another worker has taken the schedule over: it fires the same slots under the same ids, and notes them.
    if (parts.store.isOutage(error) || error instanceof LockLostError) throw error;
    // It must not end for what may be better next time.
    parts.onError(new Error(`schedule "${schedule.name}": ${toError(error).message}`, { cause: error }));
    throw new Snooze(AFTER_ERROR_MS);
  }
  if (next === undefined || next.record.removed !== undefined) return null;
  const ms = sleepMs(next.record, next.slots, parts.runtime.clock.now(), oldest);
  throw new Snooze(next.hasProgress ? ms : withoutSpinning(ms));
}

/** How long it is until a schedule has something to do. */
export function sleepMs(
  record: ScheduleRecord,
  slots: SlotsRecord,
  now: number,
  runningSince?: number,
): number {
  const at = nextDecisionAt(stateOf(record, slots, now, runningSince), now) ?? Number.POSITIVE_INFINITY;
  return Math.min(MAX_SLEEP_MS, Math.max(0, at - now));
}

/**
 * How long a schedule sleeps after a turn in which it neither fired nor left out anything: never 0, since whatever seems
 * to be due then was not a moment ago, and would keep the worker busy if it never were.
 */
export function withoutSpinning(ms: number): number {
  return ms === 0 ? LEAST_IDLE_MS : ms;
}

/** A schedule as what decides sees it. */
function stateOf(
  record: ScheduleRecord,
  slots: SlotsRecord,
  now: number,
  runningSince?: number,
): ScheduleState {
  const { name, timing, catchUp, overlap, since, paused } = record;
  const { last, waiting = [] } = slots;
  return {
    ...{ name, timing, catchUp, overlap, since, waiting },
    isPaused: paused !== undefined,
    ...(last !== undefined && { last }),
    ...(runningSince !== undefined && { runningMs: Math.max(0, now - runningSince) }),
  };
}

/** A schedule as it is stored after a turn. */
interface Turn {
  readonly record: ScheduleRecord;
  readonly slots: SlotsRecord;
  /** A slot was fired, left out or queued, so that the next turn begins further on. */
  readonly hasProgress: boolean;
}

/** Fires what is due, and notes it with the schedule. */
async function turn(
  parts: ScheduleParts,
  job: ActiveJob,
  record: ScheduleRecord,
  slots: SlotsRecord,
  { going, ended }: Runs,
): Promise<Turn> {
  const now = parts.runtime.clock.now();
  const decision = decide(stateOf(record, slots, now, startOf(going)), now);
  if (decision.isReplaced) {
    for (const run of going) await revokeJobs(parts.results, run, { now }, true);
  }
  const opened: OpenRun[] = [];
  const runs = skippedRuns(decision, now);
  for (const slot of decision.fire) {
    const { run, open } = await fired(parts, record, slot);
    runs.push(run);
    if (open !== undefined && record.overlap !== 'allow') opened.push(open);
  }
  const hasProgress = runs.length > 0 || decision.last !== slots.last;
  const isSame = ended.length === 0 && decision.waiting.length === slots.waiting?.length;
  if (isSame && !hasProgress) return { record, slots, hasProgress };
  let stored = { record, slots };
  // The data that the job was claimed with are known, so that this is one command unless another process has changed them.
  await job.change((data) => {
    const { schedule = record, slots: before = {} } = readEnvelope(data);
    const after = noted(before, {
      runs,
      ended,
      opened,
      waiting: decision.waiting,
      ...(decision.last !== undefined && { last: decision.last }),
    });
    stored = { record: schedule, slots: after };
    return { slots: after };
  });
  return { ...stored, hasProgress };
}

/** What came of a slot that was to be fired. @throws only what says that the store is away. */
async function fired(
  parts: ScheduleParts,
  record: ScheduleRecord,
  slot: number,
): Promise<{ run: RunRecord; open?: OpenRun }> {
  try {
    const open = await fire(parts, record, slotRunId(record.name, slot), slot);
    return { run: { slot, at: open.at, outcome: 'fired', id: open.id, queue: open.queue }, open };
  } catch (thrown) {
    if (parts.store.isOutage(thrown)) throw thrown;
    const error = toError(thrown);
    parts.onError(new Error(`schedule "${record.name}" could not fire: ${error.message}`, { cause: error }));
    const context = { subject: 'failure', id: scheduleId(record.name), task: '' } as const;
    const sealed = (await parts.sealer.seal(recordError(error), context)) as ErrorRecord; // or its sealed form
    return { run: { slot, at: parts.runtime.clock.now(), outcome: 'failed', error: sealed } };
  }
}

function skippedRuns({ skipped }: Decision, at: number): RunRecord[] {
  return skipped.map(({ latest: slot, reason, count }) => ({ slot, at, outcome: 'skipped', reason, count }));
}

/** Which runs of a schedule go on, if that matters. */
async function runsOf(
  { schedules }: ScheduleParts,
  { overlap, paused }: ScheduleRecord,
  { open = [] }: SlotsRecord,
): Promise<Runs> {
  const ended: string[] = [];
  const going: OpenRun[] = [];
  if (overlap === 'allow' || paused !== undefined) return { ended, going };
  for (const run of open) {
    if (await schedules.hasEnded(run.queue, run.id)) ended.push(run.id);
    else going.push(run);
  }
  return { ended, going };
}

function startOf(runs: readonly OpenRun[]): number | undefined {
  return runs.length === 0 ? undefined : Math.min(...runs.map(({ at }) => at));
}
