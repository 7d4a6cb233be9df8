/**
 * This guard converts times between BullMQ and the store (see `StoreTime`). BullMQ reads the clock of this machine: times
 * in its commands are converted to the store's time, and times in answers that BullMQ compares with its clock are converted
 * back. The arguments that are times are listed below.
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { addsInStoreTime, inStoreTime, type StoreTime } from '../../store-time.js';

/**
 * Index of the argument that is the current time, by script name: the number of keys plus the position after them. The
 * next occurrence of a job scheduler is a calendar time, which does not depend on a clock.
 */
const MOMENTS: Readonly<Record<string, number>> = {
  addJobScheduler: 11 + 6,
  changeDelay: 4 + 1,
  cleanJobsInSet: 3 + 1,
  moveJobsToWait: 8 + 1,
  moveStalledJobsToWait: 9 + 2,
  moveToActive: 11 + 1,
  moveToDelayed: 11 + 1,
  moveToFinished: 14 + 1,
  moveToWaitingChildren: 7 + 2,
  releaseParentIfNoPendingDependencies: 2 + 2,
  retryJob: 11 + 1,
  updateJobScheduler: 12 + 4,
};

/** Scripts whose answer contains the next job: a list with the due time of the next delayed job at `DUE_AT`. */
const FETCHING: ReadonlySet<string> = new Set(['moveToActive', 'moveToDelayed', 'moveToFinished']);
const DUE_AT = 3;

export function keepsStoreTime(backend: IQueueBackend, time: StoreTime): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { execCommand, waitForJob, addJob } = backend;
  backend.execCommand = (client, command, args: unknown[]) => {
    const { offsetMs } = time;
    const at = offsetMs === 0 || !Object.hasOwn(MOMENTS, command) ? undefined : MOMENTS[command];
    if (at === undefined) return execCommand.call(backend, client, command, args);
    const answer: unknown = execCommand.call(backend, client, command, shifted(args, at, -offsetMs));
    if (!FETCHING.has(command) || !(answer instanceof Promise)) return answer;
    return answer.then((result: unknown) => inMachineTime(result, offsetMs));
  };
  backend.waitForJob = async (timeout) => {
    const marker = await waitForJob.call(backend, timeout);
    const isMoment = marker !== null && marker.score > 0;
    return isMoment ? { ...marker, score: marker.score + time.offsetMs } : marker;
  };
  // These commands pack the time of a job in binary form, so convert it before.
  backend.addJob = (job, ...rest) => addJob.call(backend, inStoreTime(job, time.offsetMs), ...rest);
  addsInStoreTime(backend, time);
}

/** Returns the arguments with the time at an index shifted by `ms`. BullMQ sends some times as text. */
function shifted(args: readonly unknown[], at: number, ms: number): unknown[] {
  const moment = args[at];
  const later = Number(moment) + ms;
  if (moment === undefined || !Number.isFinite(later)) return [...args];
  return args.with(at, typeof moment === 'string' ? String(later) : later);
}

function inMachineTime(answer: unknown, offsetMs: number): unknown {
  if (!Array.isArray(answer)) return answer;
  const dueAt: unknown = answer[DUE_AT];
  return typeof dueAt === 'number' && dueAt > 0 ? answer.with(DUE_AT, dueAt + offsetMs) : answer;
}
