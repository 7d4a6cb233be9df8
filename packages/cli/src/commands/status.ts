/** `umbel status`: shows an overview of the app, or its queues, with the problems that were found. */
import type { LostJobs, QueueInfo, WorkerInfo } from '@umbel/core';
import { checkAppExists, type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { currentTime, longDuration, printFacts, printTable, relative } from '../display.js';
import { EXIT } from '../errors.js';
import { findingsOf } from '../findings.js';
import { examples } from '../flags.js';
import { cleanLine, counted, type Output, shortDuration } from '../output.js';

export const queues = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('List queues with their jobs by state, limits and workers')
      .description(
        'List the queues of the app with their jobs by state, the age of the oldest waiting job, their limits, and the number ' +
          'of workers that serve them. Without the code: the queues that workers serve, and those of --queue.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel inspect queues --name shop', 'all queues'],
      ['umbel inspect queues --json | jq .queues[].counts', 'for a script'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const all = await app.inspect.queues();
      if (out.isJson) out.document('queues', { queues: all });
      else await printQueues(out, all);
      return EXIT.ok;
    }),
});

function printQueues(out: Output, all: readonly QueueInfo[]): Promise<void> {
  return printTable(
    out,
    [
      'QUEUE',
      'WAITING',
      'OLDEST',
      'DELAYED',
      'CHILDREN',
      'ACTIVE',
      'COMPLETED',
      'FAILED',
      'WORKERS',
      'LIMITS',
    ],
    all.map((queue) => {
      const { name, counts, oldestWaitingMs, workers } = queue;
      return [
        name,
        `${counts.waiting}`,
        oldestWaitingMs === null ? '' : longDuration(oldestWaitingMs),
        `${counts.delayed}`,
        `${counts['waiting-children']}`,
        `${counts.active}`,
        `${counts.completed}`,
        `${counts.failed}`,
        `${workers.length}`,
        limitsOf(queue),
      ];
    }),
    'There are no queues.',
  );
}

function freeText({ freeAt }: LostJobs): string {
  return freeAt === null ? '' : `, back ${relative(freeAt)} at the latest`;
}

function limitsOf({ isPaused, concurrency, rateLimit, limitedMs, lost }: QueueInfo): string {
  return [
    ...(isPaused ? ['paused'] : []),
    ...(concurrency === null ? [] : [`${concurrency} at a time`]),
    ...(lost === null ? [] : [`${lost.jobs} held by missing ${lost.workers.join(' ')}${freeText(lost)}`]),
    ...(limitedMs === null ? [] : [`no start for ${longDuration(limitedMs)}`]),
    ...(rateLimit === null ? [] : [`${rateLimit.max} in ${shortDuration(rateLimit.durationMs)}`]),
  ].join(', ');
}

export default defineCommand<OperatorFlags>({
  define(command) {
    command.description(
      'Show an overview of the app: its workers, its queues, and problems such as jobs that wait in a queue that no worker ' +
        'serves.',
    );
    operatorFlags(command);
    examples(command, [
      ['umbel status --name shop', 'without code'],
      ['umbel status --app ./tasks.ts --json', 'for a script'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const [workers, queues] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
      const { store } = app.describe();
      if (app.describe().tasks.length === 0) await checkAppExists(app, workers, queues);
      const findings = findingsOf(workers, queues, currentTime());
      const notes = findings.map(({ message }) => message);
      if (out.isJson) {
        out.document('status', {
          app: app.name,
          store: store.address,
          workers: summaryOf(workers),
          queues,
          notes,
          findings,
        });
        return EXIT.ok;
      }
      const { online, closing, missing, active, concurrency } = summaryOf(workers);
      const parts = [
        `${online} online`,
        ...(closing > 0 ? [`${closing} closing`] : []),
        ...(missing > 0 ? [`${missing} missing`] : []),
      ];
      printFacts(out, [
        ['app', app.name],
        ['store', store.address],
        ['workers', `${parts.join(', ')}; ${active} of ${counted(concurrency, 'slot')} in use`],
      ]);
      out.data('');
      await printQueues(out, queues);
      if (notes.length > 0) out.data('');
      for (const { message, hint, status } of findings) {
        out.data(`${out.colors[status === 'error' ? 'red' : 'yellow']('!')} ${cleanLine(message)}`);
        out.data(out.colors.dim(`    ${cleanLine(hint)}`));
      }
      return EXIT.ok;
    }),
});

function summaryOf(workers: readonly WorkerInfo[]) {
  const count = (state: WorkerInfo['state']) => workers.filter((worker) => worker.state === state).length;
  const sum = (key: 'active' | 'concurrency') => workers.reduce((total, worker) => total + worker[key], 0);
  return {
    online: count('online'),
    closing: count('closing'),
    missing: count('missing'),
    active: sum('active'),
    concurrency: sum('concurrency'),
  };
}
