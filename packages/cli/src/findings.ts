/** Finds problems of workers and queues in the data of the store. `umbel status` and `umbel doctor` print them. */
import type { QueueInfo, WorkerInfo } from '@umbel/core';
import { longDuration, relative } from './display.js';
import { counted } from './output.js';

export interface Finding {
  /** Kind of the finding, for programs. */
  readonly id: 'unserved' | 'paused' | 'lost' | 'rate-limit' | 'missing-worker';
  /** `error`: jobs wait that will not start without intervention. */
  readonly status: 'error' | 'warning';
  readonly message: string;
  readonly hint: string;
}

/** Returns the findings: errors first, then warnings about queues, then missing workers. */
export function findingsOf(
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
  now: number,
): Finding[] {
  const found = [
    ...queues.flatMap((queue) => ofQueue(queue, now)),
    ...workers.filter(({ state }) => state === 'missing').map((worker) => ofMissing(worker, queues, now)),
  ];
  const order = (finding: Finding) =>
    finding.status === 'error' ? 0 : finding.id === 'missing-worker' ? 2 : 1;
  return found.sort((a, b) => order(a) - order(b));
}

function ofQueue(queue: QueueInfo, now: number): Finding[] {
  const { name, counts, isPaused, workers } = queue;
  const { waiting } = counts;
  const wait = `${counted(waiting, 'job')} ${waiting === 1 ? 'waits' : 'wait'}`;
  const found: Finding[] = [];
  if (isPaused)
    found.push({
      id: 'paused',
      status: 'warning',
      message: `queue ${name} is paused; ${wait}`,
      hint: `To start them, run umbel control resume ${name}.`,
    });
  if (workers.length === 0 && waiting + counts.delayed > 0) {
    const delayed = waiting === 0 ? `${counted(counts.delayed, 'job')} will be due` : wait;
    found.push({
      id: 'unserved',
      status: waiting === 0 ? 'warning' : 'error',
      message: `${delayed} in queue ${name}, which no worker serves`,
      hint: `Start one with umbel worker -q ${name}, or check the spelling of the queue and the app.`,
    });
  }
  return [...found, ...ofLost(queue, now), ...ofLimits(queue)];
}

/** Finds jobs held by missing workers. Until they return, they count against the concurrency limit of the queue. */
function ofLost({ name, lost, concurrency, counts }: QueueInfo, now: number): Finding[] {
  if (lost === null) return [];
  const { jobs, workers, lastSeenAt, freeAt } = lost;
  const who = `${workers.length === 1 ? 'worker' : 'workers'} ${workers.join(', ')}`;
  const blocked =
    concurrency !== null && counts.active >= concurrency
      ? `; they use up the concurrency limit of ${concurrency}, so no job starts`
      : '';
  return [
    {
      id: 'lost',
      status: freeAt === null ? 'error' : 'warning',
      message: `${counted(jobs, 'job')} of queue ${name} ${jobs === 1 ? 'is' : 'are'} held by missing ${who}, last seen ${relative(lastSeenAt, now)}${blocked}`,
      hint:
        freeAt === null
          ? 'They return to the queue when their locks have expired and a worker serves the queue.'
          : freeAt.getTime() > now
            ? `They return to the queue ${relative(freeAt, now)} at the latest, when their locks expire.`
            : 'They are about to return to the queue.',
    },
  ];
}

function ofLimits({ name, counts, limitedMs, rateLimit, isPaused }: QueueInfo): Finding[] {
  if (counts.waiting === 0 || isPaused) return [];
  const found: Finding[] = [];
  if (limitedMs !== null)
    found.push({
      id: 'rate-limit',
      status: 'warning',
      message: `queue ${name} starts no job for ${longDuration(limitedMs)}: its rate limit${rateLimit === null ? '' : ` of ${rateLimit.max} in ${longDuration(rateLimit.durationMs)}`} is used up`,
      hint: `To change it, run umbel control rate-limit ${name}.`,
    });
  return found;
}

function ofMissing(
  { name, lastSeenAt, processes }: WorkerInfo,
  queues: readonly QueueInfo[],
  now: number,
): Finding {
  const held = processes.reduce((total, { active }) => total + active, 0);
  const holds = queues.some(({ lost }) => lost?.workers.includes(name));
  const had = held === 0 ? 'It held no job.' : holds ? '' : `Its ${counted(held, 'job')} continued.`;
  return {
    id: 'missing-worker',
    status: 'warning',
    message: `worker ${name} is missing: it was not closed, last seen ${relative(lastSeenAt, now)}`,
    hint: `${had} It leaves this list one hour after that.`.trim(),
  };
}
