/** The commands of a backend in the time of the store, see `StoreTime`. */
import { type IQueueBackend, type JobJson, RedisQueueBackend } from 'bullmq';
import type { StoreTime } from '../store-time.js';

/** An argument that is so near to now is the moment when the command was made. */
const NOW_MS = 1000;

/** Of the answer that hands out a job: where it tells when the next delayed one is due. */
const DUE_AT = 3;

/** Puts the moments that BullMQ sends to Redis into its time, and those that it is told into this machine's. */
export function keepsStoreTime(backend: IQueueBackend, time: StoreTime): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { execCommand, waitForJob, addJob, addJobs, addFlow } = backend;
  backend.execCommand = (client, command, args: unknown[]) => {
    if (time.offsetMs === 0) return execCommand.call(backend, client, command, args);
    const answer: unknown = execCommand.call(backend, client, command, args.map(inStoreTime(time)));
    return answer instanceof Promise ? answer.then((told: unknown) => inOwnTime(time, told)) : answer;
  };
  backend.waitForJob = async (timeout) => {
    const marker = await waitForJob.call(backend, timeout);
    const isMoment = marker !== null && marker.score > 0;
    return isMoment ? { ...marker, score: marker.score + time.offsetMs } : marker;
  };
  // They pack the moment of a job where it cannot be seen.
  const sent = (job: JobJson): JobJson =>
    time.offsetMs === 0 ? job : { ...job, timestamp: job.timestamp - time.offsetMs };
  backend.addJob = (job, ...rest) => addJob.call(backend, sent(job), ...rest);
  backend.addJobs = (entries) =>
    addJobs.call(
      backend,
      time.offsetMs === 0 ? entries : entries.map((entry) => ({ ...entry, job: sent(entry.job) })),
    );
  backend.addFlow = (entries) =>
    addFlow.call(
      backend,
      time.offsetMs === 0 ? entries : entries.map((entry) => ({ ...entry, jobData: sent(entry.jobData) })),
    );
}

function inStoreTime({ offsetMs }: StoreTime): (argument: unknown) => unknown {
  const now = Date.now();
  return (argument) =>
    typeof argument === 'number' && Math.abs(argument - now) < NOW_MS ? argument - offsetMs : argument;
}

function inOwnTime({ offsetMs }: StoreTime, told: unknown): unknown {
  if (!Array.isArray(told)) return told;
  const dueAt: unknown = told[DUE_AT];
  return typeof dueAt === 'number' && dueAt > 0 ? told.with(DUE_AT, dueAt + offsetMs) : told;
}
