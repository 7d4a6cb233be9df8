import type { RunFilter } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
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

export const list = defineCommand<OperatorFlags & FilterFlags & PageFlags>({
  define(command) {
    command
      .summary('compositions, and calls with callbacks')
      .description(
        'Lists the compositions, and calls with callbacks: those that go on first, then those that failed.',
      );
    filterFlags(command);
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel runs list --name shop', 'all, newest first of each state'],
      ['umbel runs list --state failed --since 1d', 'those that failed since yesterday'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const filter = given(flags, ['state', 'tag', 'since', 'until']) as RunFilter; // states are checked there
      const { items, cursor } = await upTo(flags.limit, flags.cursor, (page) =>
        app.runs.list({ ...filter, ...page }),
      );
      if (out.isJson) {
        out.document('runs', { runs: items, ...(cursor !== undefined && { cursor }) });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['ID', 'STATE', 'SENT', 'TOOK', 'TAGS', 'REASON'],
        items.map(({ id, state, enqueuedAt, finishedAt, tags, reason = '', problem }) => [
          id,
          stateCell(state, out),
          relative(known(enqueuedAt)),
          finishedAt === undefined || known(enqueuedAt) === undefined
            ? ''
            : longDuration(finishedAt.getTime() - enqueuedAt.getTime()),
          tags.join(' '),
          shortText(problem ?? reason),
        ]),
        'There are no such runs.',
      );
      tellMore(out, cursor);
      return EXIT.ok;
    }),
});
