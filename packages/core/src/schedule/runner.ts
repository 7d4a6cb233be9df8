/**
 * This module runs the job of a schedule: it fires due occurrences, stores what it did, and delays the job until the next
 * occurrence. Workers call `runSchedule`; `runNow` calls `fire`.
 */

import { CorruptJobError, type ErrorRecord } from '../base/errors.js';
import { LockLostError } from '../base/failures.js';
import { revokeJobs } from '../client/result.js';
import type { Runtime } from '../client/runtime.js';
import { recordError, toError } from '../codec/error-record.js';
import { type Envelope, readEnvelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import { openTree } from '../job/job-tree.js';
import {
  noted,
  type OpenRun,
  type RunRecord,
  type ScheduleProgress,
  type ScheduleRecord,
} from '../job/schedule-record.js';
import { scheduleId } from '../store/schedules.js';
import { Snooze } from '../worker/control-flow.js';
import { type Decision, decide, nextDecisionAt, type ScheduleState } from './decide.js';
import type { ScheduleDependencies } from './schedules.js';

/** Headers that show the schedule and the occurrence to a handler. */
const HEADER = { name: 'umbel-schedule', slot: 'umbel-scheduled-at' } as const;

/** Returns the id of the job for an occurrence. All workers compute the same id, so the job exists once. */
function occurrenceRunId(name: string, occurrence: number): string {
  return `${scheduleId(name)}-${occurrence}`;
}

/**
 * Sends the target of a schedule under `id`. Sending it again has no effect.
 * @throws {ValidationError} if an input no longer fits the schema of its task.
 */
export async function fire(
  { sealer, checks, sending, runtime }: ScheduleDependencies,
  { name, target }: ScheduleRecord,
  id: string,
  occurrence: number,
): Promise<OpenRun> {
  const node = await openTree(sealer, scheduleId(name), target);
  await checks.checkTree(node);
  await sending.sendPlanned(id, node, {
    [HEADER.name]: name,
    [HEADER.slot]: new Date(occurrence).toISOString(),
  });
  return { id, queue: node.queue, at: runtime.clock.now() };
}

/** Maximum delay of a schedule's job: time zone data or the clock may have changed. */
const MAX_SLEEP_MS = 86_400_000;
/** Minimum delay after an attempt without progress. */
const MIN_IDLE_MS = 100;
/** Delay after an error of the schedule itself. */
const AFTER_ERROR_MS = 10_000;

/** The open runs of a schedule, by whether they have ended. */
interface Runs {
  readonly ended: readonly string[];
  readonly running: readonly OpenRun[];
}

/** Runs the job of a schedule. @throws {Snooze} unless the schedule was removed. */
export async function runSchedule(
  dependencies: ScheduleDependencies,
  job: ActiveJob,
  envelope: Envelope,
): Promise<null> {
  const { schedule, slots = {} } = envelope;
  if (schedule === undefined || job.id !== scheduleId(schedule.name))
    throw new CorruptJobError(job.id, 'it belongs to no schedule');
  let next: RunnerPass | undefined;
  let oldest: number | undefined;
  const { clock, scheduleLeadMs } = dependencies.runtime;
  try {
    if (schedule.removed === undefined) await untilDue(dependencies.runtime, schedule, slots);
    const runs = await runsOf(dependencies, schedule, slots);
    oldest = startOf(runs.running);
    next =
      schedule.removed === undefined ? await runOnce(dependencies, job, schedule, slots, runs) : undefined;
  } catch (error) {
    // After a lost lock another worker fires the same occurrences under the same ids, and stores them.
    if (dependencies.store.isOutage(error) || error instanceof LockLostError) throw error;
    // Failing the job would end the schedule, but the next attempt may succeed.
    dependencies.onError(
      new Error(`schedule "${schedule.name}": ${toError(error).message}`, { cause: error }),
    );
    throw new Snooze(AFTER_ERROR_MS);
  }
  if (next === undefined || next.record.removed !== undefined) return null;
  const ms = sleepMs(next.record, next.slots, clock.now(), { leadMs: scheduleLeadMs, runningSince: oldest });
  throw new Snooze(next.hasProgress ? ms : withoutSpinning(ms));
}

/** Waits for an occurrence that is due within the lead of a schedule's job. */
export async function untilDue(
  { clock, pause, scheduleLeadMs }: Runtime,
  record: ScheduleRecord,
  progress: ScheduleProgress,
): Promise<void> {
  const now = clock.now();
  const at = nextDecisionAt(stateOf(record, progress, now), now);
  if (at === undefined || at > now + scheduleLeadMs) return;
  for (let leftMs = at - now; leftMs > 0; leftMs = at - clock.now()) await pause(leftMs); // a timer may be early
}

/** Returns the delay until the job of a schedule has to start, in milliseconds. */
export function sleepMs(
  record: ScheduleRecord,
  progress: ScheduleProgress,
  now: number,
  { leadMs, runningSince }: { readonly leadMs: number; readonly runningSince?: number | undefined },
): number {
  const at = nextDecisionAt(stateOf(record, progress, now, runningSince), now) ?? Number.POSITIVE_INFINITY;
  return Math.min(MAX_SLEEP_MS, Math.max(0, at - now - leadMs));
}

/**
 * Returns the delay after an attempt without progress. It is never 0: an occurrence that seems due but did not fire would
 * keep the worker busy.
 */
export function withoutSpinning(ms: number): number {
  return ms === 0 ? MIN_IDLE_MS : ms;
}

/** Returns the state that `decide` needs. */
function stateOf(
  record: ScheduleRecord,
  progress: ScheduleProgress,
  now: number,
  runningSince?: number,
): ScheduleState {
  const { name, timing, catchUp, overlap, since, paused } = record;
  const { last, waiting = [] } = progress;
  return {
    ...{ name, timing, catchUp, overlap, since, waiting },
    isPaused: paused !== undefined,
    ...(last !== undefined && { last }),
    ...(runningSince !== undefined && { runningMs: Math.max(0, now - runningSince) }),
  };
}

/** A schedule as it is stored after one pass. */
interface RunnerPass {
  readonly record: ScheduleRecord;
  readonly slots: ScheduleProgress;
  /** Whether an occurrence fired, was skipped or was queued, so that the next pass starts later. */
  readonly hasProgress: boolean;
}

/** Fires due occurrences, and stores the outcome with the schedule. */
async function runOnce(
  dependencies: ScheduleDependencies,
  job: ActiveJob,
  record: ScheduleRecord,
  progress: ScheduleProgress,
  { running, ended }: Runs,
): Promise<RunnerPass> {
  const now = dependencies.runtime.clock.now();
  const decision = decide(stateOf(record, progress, now, startOf(running)), now);
  if (decision.isReplaced) {
    for (const run of running) await revokeJobs(dependencies.results, run, { now }, true);
  }
  const opened: OpenRun[] = [];
  const runs = skippedRuns(decision, now);
  for (const occurrence of decision.fire) {
    const { run, open } = await fireRecorded(dependencies, record, occurrence);
    runs.push(run);
    if (open !== undefined && record.overlap !== 'allow') opened.push(open);
  }
  const hasProgress = runs.length > 0 || decision.last !== progress.last;
  const isSame = ended.length === 0 && decision.waiting.length === progress.waiting?.length;
  if (isSame && !hasProgress) return { record, slots: progress, hasProgress };
  let stored = { record, slots: progress };
  // One command, unless another process has changed the data since the job was claimed.
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

/** Fires an occurrence and returns its record, also if it failed. @throws only errors of an unreachable store. */
async function fireRecorded(
  dependencies: ScheduleDependencies,
  record: ScheduleRecord,
  occurrence: number,
): Promise<{ run: RunRecord; open?: OpenRun }> {
  try {
    const open = await fire(dependencies, record, occurrenceRunId(record.name, occurrence), occurrence);
    return { run: { slot: occurrence, at: open.at, outcome: 'fired', id: open.id, queue: open.queue }, open };
  } catch (thrown) {
    if (dependencies.store.isOutage(thrown)) throw thrown;
    const error = toError(thrown);
    dependencies.onError(
      new Error(`schedule "${record.name}" could not fire: ${error.message}`, { cause: error }),
    );
    const context = { subject: 'failure', id: scheduleId(record.name), task: '' } as const;
    const sealed = (await dependencies.sealer.encode(recordError(error), context)) as ErrorRecord; // or its sealed form
    return {
      run: { slot: occurrence, at: dependencies.runtime.clock.now(), outcome: 'failed', error: sealed },
    };
  }
}

function skippedRuns({ skipped }: Decision, at: number): RunRecord[] {
  return skipped.map(({ latest: slot, reason, count }) => ({ slot, at, outcome: 'skipped', reason, count }));
}

/** Returns the open runs of a schedule, if its overlap policy depends on them. */
async function runsOf(
  { schedules }: ScheduleDependencies,
  { overlap, paused }: ScheduleRecord,
  { open = [] }: ScheduleProgress,
): Promise<Runs> {
  const ended: string[] = [];
  const running: OpenRun[] = [];
  if (overlap === 'allow' || paused !== undefined) return { ended, running };
  for (const run of open) {
    if (await schedules.hasEnded(run.queue, run.id)) ended.push(run.id);
    else running.push(run);
  }
  return { ended, running };
}

function startOf(runs: readonly OpenRun[]): number | undefined {
  return runs.length === 0 ? undefined : Math.min(...runs.map(({ at }) => at));
}
