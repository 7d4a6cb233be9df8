/** Tasks whose point is when they run: appointments, the occurrences of schedules, and calls to a queue with limits. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '@umbel/core';
import { z } from 'zod';
import type { TaskSettings } from './tasks.js';

export interface TimedSettings {
  /** How many schedules send an occurrence each second. */
  readonly schedules: number;
  readonly limits: Limits;
}

/** Of the queue `limited`, over all workers. */
export interface Limits {
  readonly perSecond: number;
  readonly concurrency: number;
}

export const LIMITED_QUEUE = 'limited';
/** The longest that a handler of the limited queue takes, in milliseconds. */
const LIMITED_MS = 200;

/** What `createApp` is given for the limited queue. */
export function limitedQueue({ perSecond, concurrency }: Limits) {
  return { rateLimit: `${perSecond}/s`, concurrency } as const;
}

/** A ledger entry that belongs to no workflow has this number. */
const NO_WORKFLOW = -1;

export function scheduleName(index: number): string {
  return `beat-${index}`;
}

export function defineTimedTasks(app: App, { note, timed, slowness = 1 }: TaskSettings) {
  const appointed = app.task({
    name: 'appointed',
    input: z.object({ w: z.number() }),
    run: async ({ w }, ctx) => {
      note({ event: 'start', job: ctx.id, attempt: ctx.attempt, workflow: w, node: 0, value: 'appointed' });
      return w;
    },
  });
  if (timed === undefined) return { appointed };
  const beat = app.task({
    name: 'beat',
    run: async (_, { id: job, attempt, headers }) => {
      const value = `${headers['umbel-schedule']} ${headers['umbel-scheduled-at']}`;
      note({ event: 'start', job, attempt, workflow: NO_WORKFLOW, node: 0, value });
    },
  });
  for (let index = 0; index < timed.schedules; index += 1) {
    app.schedule(scheduleName(index), { every: '1s', catchUp: 'all', overlap: 'allow' }, beat.si());
  }
  const limited = app.task({
    name: 'limited',
    queue: LIMITED_QUEUE,
    input: z.object({ n: z.number() }),
    run: async ({ n }, { id: job, attempt }) => {
      const noted = { job, attempt, workflow: NO_WORKFLOW, node: n, value: 'limited' };
      note({ event: 'start', ...noted });
      await sleep(((n * 37) % LIMITED_MS) * slowness);
      note({ event: 'end', ...noted, how: 'gave' });
      return n;
    },
  });
  return { appointed, limited };
}
