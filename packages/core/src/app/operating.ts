/** What an operator has in hand: how an app's jobs, queues, workers and schedules are seen and directed. */

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
import type { Jobs, Runs } from '../ops/job-query.js';
import { jobQueries, runQueries } from '../ops/jobs.js';
import { type Schedules, scheduleHandle } from '../schedule/handle.js';
import { checkName, checkTags } from '../task/option-checks.js';
import type { AppDependencies } from './wiring.js';

// What bears a tag: found, and revoked.

type TagParts = Pick<AppDependencies, 'tags' | 'store' | 'results' | 'runtime'>;

export async function* findByTag(
  { tags, store, results, runtime }: TagParts,
  tag: string,
): AsyncGenerator<AsyncResult<unknown>, void> {
  checkTags([tag]);
  await store.timeKnown();
  for await (const { queue, id } of tags.find(tag, runtime.clock.now())) {
    if (await store.holds(queue, id)) yield new StoredResult(results, { queue }, id);
  }
}

/** The number of jobs of tasks that were marked. */
export async function revokeByTag(
  { tags, store, results, runtime }: TagParts,
  tag: string,
  isTerminated: boolean,
): Promise<number> {
  checkTags([tag]);
  await store.timeKnown();
  const now = runtime.clock.now();
  let count = 0;
  for await (const place of tags.find(tag, now)) {
    const marked = await revokeJobs(results, place, { now, tag }, isTerminated);
    count += marked.filter((job) => job.queue !== INTERNAL_QUEUE).length;
  }
  return count;
}

export interface AppOperations {
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
}

/** @param dependencies Those of the app that is meant when something is asked: a test's, while it stands in. */
export function operationsOf(dependencies: () => AppDependencies): AppOperations {
  const queryParts = () => {
    const { store, tags, runtime, queues } = dependencies();
    return {
      store,
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
    jobs: jobQueries(queryParts),
    runs: runQueries(queryParts),
    inspect: inspectOf(() => {
      const { asking, store, queues } = dependencies();
      return {
        asking,
        store,
        queues: async () => (await queues.served()).filter((queue) => queue !== INTERNAL_QUEUE),
        checkQueue: (queue) => queues.servedHandle(queue),
      };
    }),
    control: controlOf(() => {
      const { asking, results, queues } = dependencies();
      return {
        asking,
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

// Whether anybody serves a queue: asked when a result does not come.

/** What is to be done where no worker is known that serves a queue; undefined if one is. */
export async function whoIsMissing(
  asking: WorkerQuery,
  app: string,
  queue: string,
): Promise<string | undefined> {
  const records = await asking.records();
  const present = records.filter((record) => workerStateOf(record, asking.now) !== 'missing');
  // Every worker serves the queue of compositions.
  const isServed =
    queue === INTERNAL_QUEUE
      ? present.length > 0
      : present.some(({ queues }) => Object.hasOwn(queues, queue));
  if (isServed) return undefined;
  const others = [...new Set(present.flatMap(({ queues }) => Object.keys(queues)))].sort();
  if (queue === INTERNAL_QUEUE || others.length === 0) {
    return `No worker of app "${app}" is known to run: start one, with the same store, name of the app and prefix.`;
  }
  return `No worker is known that serves queue "${queue}" of app "${app}" (served: ${listed(others)}): start one with app.worker({ queues: ['${queue}'] }), or correct the queue.`;
}
