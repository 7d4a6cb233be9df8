/** What deserves a look: of workers and queues, as the store tells of them. */
import type { QueueInfo, WorkerInfo } from '@umbel/core';
import { longDuration, relative } from './display.js';
import { counted } from './output.js';

export interface Finding {
  /** Names its kind for programs. */
  readonly id: 'unserved' | 'paused' | 'lost' | 'rate-limit' | 'missing-worker';
  /** `error`: jobs wait that nothing will start until somebody does something. */
  readonly status: 'error' | 'warning';
  readonly message: string;
  readonly hint: string;
}

/** The gravest first: jobs that wait in vain, those that wait for a while, workers that are gone. */
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
      hint: `umbel control resume ${name} lets them start`,
    });
  if (workers.length === 0 && waiting + counts.delayed > 0) {
    const delayed = waiting === 0 ? `${counted(counts.delayed, 'job')} will be due` : wait;
    found.push({
      id: 'unserved',
      status: waiting === 0 ? 'warning' : 'error',
      message: `${delayed} in queue ${name}, which no worker serves`,
      hint: `Start one: umbel worker -q ${name}. Or is the name of the queue, or of the app, misspelt?`,
    });
  }
  return [...found, ...ofLost(queue, now), ...ofLimits(queue)];
}

/** Jobs that are with workers which are gone; while they are, they fill places of the queue's limit. */
function ofLost({ name, lost, concurrency, counts }: QueueInfo, now: number): Finding[] {
  if (lost === null) return [];
  const { jobs, workers, lastSeenAt, freeAt } = lost;
  const who = `${workers.length === 1 ? 'worker' : 'workers'} ${workers.join(', ')}`;
  const stands =
    concurrency !== null && counts.active >= concurrency
      ? `; they fill the limit of ${concurrency} at a time, so none starts`
      : '';
  return [
    {
      id: 'lost',
      status: freeAt === null ? 'error' : 'warning',
      message: `${counted(jobs, 'job')} of queue ${name} ${jobs === 1 ? 'is' : 'are'} held by ${who}, last heard of ${relative(lastSeenAt, now)}${stands}`,
      hint:
        freeAt === null
          ? 'They go back to the queue once a worker serves it, when their locks have run out.'
          : freeAt.getTime() > now
            ? `They go back to the queue ${relative(freeAt, now)} at the latest, when their locks have run out.`
            : 'They are about to go back to the queue.',
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
      hint: `umbel control rate-limit ${name} changes it`,
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
  const had =
    held === 0 ? 'It held no job.' : holds ? '' : `The ${counted(held, 'job')} that it held went on.`;
  return {
    id: 'missing-worker',
    status: 'warning',
    message: `worker ${name} is gone: it was not closed, and was heard of ${relative(lastSeenAt, now)} for the last time`,
    hint: `${had} It is left out of this list an hour after that.`.trim(),
  };
}
