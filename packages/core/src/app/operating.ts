/** Creates the operator interfaces of an app (`deadLetters`, `jobs`, `runs`, `schedules`, `inspect`, `control`), and finds and revokes by tag. */

import { InvalidOptionError } from '../base/errors.js';
import { listed } from '../base/text.js';
import type { AsyncResult } from '../client/async-result.js';
import { revokeJobs, StoredResult } from '../client/result.js';
import type { WorkerQuery } from '../control/ask.js';
import { type Control, controlOf } from '../control/control.js';
import { type Inspect, inspectOf } from '../control/inspect.js';
import { workerStateOf } from '../control/worker-record.js';
import { isJobId } from '../job/ids.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { type DeadLetters, deadLetters } from '../ops/dead-letters.js';
import { type AppHistory, historyOf } from '../ops/history.js';
import type { Jobs, Runs } from '../ops/job-query.js';
import { jobQueries, runQueries } from '../ops/jobs.js';
import { type Signals, signalsOf } from '../ops/signals.js';
import { type Schedules, scheduleHandle } from '../schedule/handle.js';
import { isHeld } from '../store/read.js';
import { checkName, checkTags } from '../task/option-checks.js';
import type { AppDependencies } from './wiring.js';

type TagDependencies = Pick<AppDependencies, 'tags' | 'store' | 'results' | 'runtime'>;

export async function* findByTag(
  { tags, store, results, runtime }: TagDependencies,
  tag: string,
): AsyncGenerator<AsyncResult<unknown>, void> {
  checkTags([tag]);
  await store.timeKnown();
  for await (const { queue, id } of tags.find(tag, runtime.clock.now())) {
    if (await isHeld(store, { queue, id })) yield new StoredResult(results, { queue }, id);
  }
}

/** Revokes everything with a tag. Returns the number of task jobs that were marked. */
export async function revokeByTag(
  { tags, store, results, runtime }: TagDependencies,
  tag: string,
  terminate: boolean,
): Promise<number> {
  checkTags([tag]);
  await store.timeKnown();
  const now = runtime.clock.now();
  let count = 0;
  for await (const job of tags.find(tag, now)) {
    const marked = await revokeJobs(results, job, { now, tag }, terminate);
    count += marked.filter(({ queue }) => queue !== INTERNAL_QUEUE).length;
  }
  return count;
}

export interface AppOperations {
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly signals: Signals;
  readonly history: AppHistory;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
}

/** @param dependencies Returns those of the app, or of its test override, at the time of a call. */
export function operationsOf(dependencies: () => AppDependencies): AppOperations {
  const queryDependencies = () => {
    const { store, tags, runtime, queues, workerQuery } = dependencies();
    return {
      store,
      workerQuery,
      tags,
      now: () => runtime.clock.now(),
      queues: queues.ofTasks(),
      checkQueue: (queue: string) => queues.check(queue),
    };
  };
  return {
    deadLetters: deadLetters(
      () => {
        const { store, runtime, checks } = dependencies();
        return {
          store,
          now: () => runtime.clock.now(),
          check: async (task, input) => void (await checks.check(task, input)),
        };
      },
      () => dependencies().queues.known(),
    ),
    schedules: {
      list: () => dependencies().scheduling.list(),
      get: (name) => scheduleHandle(checkName('name', name), () => dependencies().scheduling),
      sync: (options) => dependencies().scheduling.sync(options),
    },
    signals: signalsOf(() => {
      const { store, signalClient } = dependencies();
      return { store, client: signalClient };
    }),
    history: historyOf(() => {
      const { store, runtime } = dependencies();
      return { store, now: () => runtime.clock.now() };
    }),
    jobs: jobQueries(queryDependencies),
    runs: runQueries(queryDependencies),
    inspect: inspectOf(() => {
      const { workerQuery, store, queues } = dependencies();
      return {
        workerQuery,
        store,
        queues: async () => (await queues.served()).filter((queue) => queue !== INTERNAL_QUEUE),
        checkQueue: (queue) => queues.servedHandle(queue),
      };
    }),
    control: controlOf(() => {
      const { workerQuery, results, queues } = dependencies();
      return {
        workerQuery,
        results: async (ids) => {
          for (const id of ids) if (!isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
          const all = await queues.served();
          return ids.map((id) => new StoredResult(results, { queues: () => all }, id));
        },
        revokeByTag: ({ tag, terminate }) => revokeByTag(dependencies(), tag, terminate),
        queue: (name) => queues.servedHandle(name),
      };
    }),
  };
}

/** Returns advice if no known worker serves a queue, for callers that still wait for a result; undefined if one does. */
export async function adviseUnserved(
  workerQuery: WorkerQuery,
  app: string,
  queue: string,
): Promise<string | undefined> {
  const records = await workerQuery.records();
  const present = records.filter((record) => workerStateOf(record, workerQuery.now) !== 'missing');
  // Every worker serves the internal queue.
  const isServed =
    queue === INTERNAL_QUEUE
      ? present.length > 0
      : present.some(({ queues }) => Object.hasOwn(queues, queue));
  if (isServed) return undefined;
  const others = [...new Set(present.flatMap(({ queues }) => Object.keys(queues)))].sort();
  if (queue === INTERNAL_QUEUE || others.length === 0) {
    return `No running worker of app "${app}" is known: start one with the same store, app name and prefix.`;
  }
  return `No known worker serves queue "${queue}" of app "${app}" (served: ${listed(others)}): start one with app.worker({ queues: ['${queue}'] }), or correct the queue.`;
}
