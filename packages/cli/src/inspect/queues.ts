import type { LostJobs, QueueInfo } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { printTable } from '../operating/show.js';
import { longDuration, relative } from '../operating/times.js';
import type { Output } from '../output/output.js';
import { shortDuration } from '../output/text.js';

export const queues = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('queues: jobs by state, limits, age, who serves them')
      .description(
        'Lists the queues of the app, with their jobs by state, for how long the first of them has waited, their limits, ' +
          'and how many workers serve them. Without the code, those that workers serve and those of --queue.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel inspect queues --name shop', 'all of them'],
      ['umbel inspect queues --json | jq .queues[].counts', 'for a script'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const all = await app.inspect.queues();
      if (out.isJson) out.document('queues', { queues: all });
      else await printQueues(out, all);
      return EXIT.ok;
    }),
});

export function printQueues(out: Output, all: readonly QueueInfo[]): Promise<void> {
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
  return freeAt === null ? '' : `, free ${relative(freeAt)} at the latest`;
}

function limitsOf({ isPaused, concurrency, rateLimit, limitedMs, lost }: QueueInfo): string {
  return [
    ...(isPaused ? ['paused'] : []),
    ...(concurrency === null ? [] : [`${concurrency} at a time`]),
    ...(lost === null ? [] : [`${lost.jobs} held by ${lost.workers.join(' ')}, gone${freeText(lost)}`]),
    ...(limitedMs === null ? [] : [`no start for ${longDuration(limitedMs)}`]),
    ...(rateLimit === null ? [] : [`${rateLimit.max} in ${shortDuration(rateLimit.durationMs)}`]),
  ].join(', ');
}
