/** What an operator has in hand: how an app's jobs, queues, workers and schedules are seen and directed. */
import { type DeadLetters, deadLetters } from '../bullmq/dead-letters.js';
import { isJobId } from '../bullmq/job-id.js';
import { type Control, controlOf } from '../control/control.js';
import { type Inspect, inspectOf } from '../control/inspect.js';
import { InvalidOptionError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { jobQueries, runQueries } from '../queries/jobs.js';
import type { Jobs, Runs } from '../queries/query.js';
import { StoredResult } from '../results/result.js';
import { type Schedules, scheduleHandle } from '../schedules/handle.js';
import { checkName } from '../tasks/options.js';
import type { AppParts } from './parts.js';
import { revokeByTag } from './tags.js';

export interface Operating {
  readonly deadLetters: DeadLetters;
  readonly schedules: Schedules;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly inspect: Inspect;
  readonly control: Control;
}

/** @param parts Those of the app that is meant when something is asked: a test's, while it stands in. */
export function operatingOf(parts: () => AppParts): Operating {
  const queryParts = () => {
    const { store, tags, runtime, queues } = parts();
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
        const { store, runtime, checks } = parts();
        return {
          store,
          now: () => runtime.clock.now(),
          check: async (task, input) => void (await checks.check(task, input)),
        };
      },
      () => parts().queues.known(),
    ),
    schedules: {
      list: () => parts().scheduling.list(),
      get: (name) => scheduleHandle(checkName('name', name), () => parts().scheduling),
      sync: (options) => parts().scheduling.sync(options),
    },
    jobs: jobQueries(queryParts),
    runs: runQueries(queryParts),
    inspect: inspectOf(() => {
      const { asking, store, queues } = parts();
      return {
        asking,
        store,
        queues: async () => (await queues.served()).filter((queue) => queue !== INTERNAL_QUEUE),
        checkQueue: (queue) => queues.servedHandle(queue),
      };
    }),
    control: controlOf(() => {
      const { asking, results, queues } = parts();
      return {
        asking,
        results: async (ids) => {
          for (const id of ids) if (!isJobId(id)) throw new InvalidOptionError('id', 'the id of a job', id);
          const all = await queues.served();
          return ids.map((id) => new StoredResult(results, { queues: () => all }, id));
        },
        revokeByTag: ({ tag, terminate }) => revokeByTag(parts(), tag, terminate),
        queue: (name) => queues.servedHandle(name),
      };
    }),
  };
}
