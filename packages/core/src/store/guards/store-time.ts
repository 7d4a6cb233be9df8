/**
 * The commands of a backend in the time of the store, see `StoreTime`. BullMQ reads this machine's clock: the moments
 * that it sends are put into the store's time, and those in answers that it compares with its clock into this machine's.
 * Which argument of which command is a moment is named below; everything else stays as it is.
 */
import { type IQueueBackend, type JobJson, RedisQueueBackend } from 'bullmq';
import type { StoreTime } from '../store-time.js';

/**
 * By the names of BullMQ's scripts: the number of their keys, and after those the place of the moment at which the
 * command was made. The next slot of a job scheduler is a moment of the calendar, which no clock changes.
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

/** Those whose answer hands out the next job: a list, with the moment when the next delayed one is due in this place. */
const HANDING_OUT: ReadonlySet<string> = new Set(['moveToActive', 'moveToDelayed', 'moveToFinished']);
const DUE_AT = 3;

export function keepsStoreTime(backend: IQueueBackend, time: StoreTime): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { execCommand, waitForJob, addJob, addJobs, addFlow } = backend;
  backend.execCommand = (client, command, args: unknown[]) => {
    const { offsetMs } = time;
    const at = offsetMs === 0 || !Object.hasOwn(MOMENTS, command) ? undefined : MOMENTS[command];
    if (at === undefined) return execCommand.call(backend, client, command, args);
    const answer: unknown = execCommand.call(backend, client, command, shifted(args, at, -offsetMs));
    if (!HANDING_OUT.has(command) || !(answer instanceof Promise)) return answer;
    return answer.then((told: unknown) => inOwnTime(told, offsetMs));
  };
  backend.waitForJob = async (timeout) => {
    const marker = await waitForJob.call(backend, timeout);
    const isMoment = marker !== null && marker.score > 0;
    return isMoment ? { ...marker, score: marker.score + time.offsetMs } : marker;
  };
  // They pack the moment of a job where it cannot be seen.
  const sent = (job: JobJson, offsetMs: number): JobJson =>
    offsetMs === 0 ? job : { ...job, timestamp: job.timestamp - offsetMs };
  backend.addJob = (job, ...rest) => addJob.call(backend, sent(job, time.offsetMs), ...rest);
  backend.addJobs = (entries) => {
    const { offsetMs } = time;
    if (offsetMs === 0) return addJobs.call(backend, entries);
    return addJobs.call(
      backend,
      entries.map((entry) => ({ ...entry, job: sent(entry.job, offsetMs) })),
    );
  };
  backend.addFlow = (entries) => {
    const { offsetMs } = time;
    if (offsetMs === 0) return addFlow.call(backend, entries);
    return addFlow.call(
      backend,
      entries.map((entry) => ({ ...entry, jobData: sent(entry.jobData, offsetMs) })),
    );
  };
}

/** The arguments with the moment in this place so much later; BullMQ sends some as text. */
function shifted(args: readonly unknown[], at: number, ms: number): unknown[] {
  const moment = args[at];
  const later = Number(moment) + ms;
  if (moment === undefined || !Number.isFinite(later)) return [...args];
  return args.with(at, typeof moment === 'string' ? String(later) : later);
}

function inOwnTime(told: unknown, offsetMs: number): unknown {
  if (!Array.isArray(told)) return told;
  const dueAt: unknown = told[DUE_AT];
  return typeof dueAt === 'number' && dueAt > 0 ? told.with(DUE_AT, dueAt + offsetMs) : told;
}
