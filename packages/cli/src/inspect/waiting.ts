import type { JobsQuery } from '@umbel/core';
import type { Command } from 'commander';
import { integer } from '../args.js';
import { type CommandModule, defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { printTable } from '../operating/show.js';
import { known, relative } from '../operating/times.js';

type WaitingFlags = OperatorFlags & { readonly queue?: string; readonly limit: number };

function waitingFlags(command: Command): void {
  command
    .addOption(ownFlag('--queue <name>', 'only of this queue'))
    .addOption(ownFlag('--limit <n>', 'at most so many').argParser(integer(1, 1000)).default(100));
  operatorFlags(command);
}

const queryOf = ({ queue, limit }: WaitingFlags): JobsQuery => ({
  limit,
  ...(queue !== undefined && { queue }),
});

export const scheduled: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('jobs that wait for a time: a countdown, another attempt')
      .description(
        'Lists the jobs that wait for a time, for their countdown or another attempt; the next one first.',
      );
    waitingFlags(command);
    examples(command, [['umbel inspect scheduled --name shop --limit 10', 'what is due next']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.scheduled(queryOf(flags));
      if (out.isJson) out.document('scheduled', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'DUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, dueAt, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            relative(known(dueAt)),
            `${attempt}`,
            problem ?? relative(known(enqueuedAt)),
          ]),
          'No job waits for a time.',
        );
      return EXIT.ok;
    }),
});

export const reserved: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('jobs that are taken next')
      .description(
        'Lists the jobs that are taken next, in that order, queue by queue. Workers reserve none: each takes a job when it ' +
          'has a place for it.',
      );
    waitingFlags(command);
    examples(command, [['umbel inspect reserved --name shop --queue mail', 'what comes next']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.reserved(queryOf(flags));
      if (out.isJson) out.document('reserved', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            `${attempt}`,
            problem ?? relative(known(enqueuedAt)),
          ]),
          'No job waits.',
        );
      return EXIT.ok;
    }),
});
