import type { JobFilter } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import {
  type FilterFlags,
  filterFlags,
  given,
  type PageFlags,
  pageFlags,
  tellMore,
  upTo,
} from '../operating/pages.js';
import { printTable, shortText, stateCell } from '../operating/show.js';
import { known, longDuration, relative } from '../operating/times.js';

type ListFlags = OperatorFlags &
  FilterFlags &
  PageFlags & { readonly task?: string; readonly queue?: string; readonly run?: string };

export const list = defineCommand<ListFlags>({
  define(command) {
    command
      .summary('jobs by state, task, queue, tag, run and time')
      .description(
        'Lists the jobs of tasks: those that wait first, then those that run, have failed, have completed.',
      );
    command
      .addOption(ownFlag('--task <name>', 'of this task'))
      .addOption(ownFlag('--queue <name>', 'in this queue'))
      .addOption(ownFlag('--run <id>', 'steps of this run'));
    filterFlags(command);
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel jobs list --state active --name shop', 'what runs'],
      ['umbel jobs list --task email.send --state failed --since 2h', 'what failed of a task'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const keys = ['state', 'tag', 'since', 'until', 'task', 'queue', 'run'] as const;
      const filter = given(flags, keys) as JobFilter; // states are checked there
      const { items, cursor } = await upTo(flags.limit, flags.cursor, (page) =>
        app.jobs.list({ ...filter, ...page }),
      );
      if (out.isJson) {
        out.document('jobs', { jobs: items, ...(cursor !== undefined && { cursor }) });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['ID', 'TASK', 'STATE', 'QUEUE', 'ATTEMPTS', 'SENT', 'TOOK', 'REASON'],
        items.map(
          ({
            id,
            displayName,
            state,
            ownState,
            queue,
            attempts,
            enqueuedAt,
            startedAt,
            finishedAt,
            reason = '',
            problem,
          }) => [
            id,
            displayName,
            stateCell(ownState ?? state, out),
            queue,
            `${attempts}`,
            relative(known(enqueuedAt)),
            startedAt === undefined || finishedAt === undefined
              ? ''
              : longDuration(finishedAt.getTime() - startedAt.getTime()),
            shortText(problem ?? reason),
          ],
        ),
        'There are no such jobs.',
      );
      tellMore(out, cursor);
      return EXIT.ok;
    }),
});
