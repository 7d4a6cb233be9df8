import type { WorkerInfo } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { printTable, stateCell } from '../operating/show.js';
import { longDuration, relative } from '../operating/times.js';
import type { Output } from '../output/output.js';

export const workers = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('workers, also those that are gone since less than an hour')
      .description(
        'Lists the workers, also those that are gone since less than an hour, as the store knows them: those that were killed are ' +
          'missing, those that were closed are not listed.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel inspect workers --name shop', 'all of them'],
      ['umbel inspect workers --json | jq .workers[].name', 'for a script'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const all = await app.inspect.workers();
      if (out.isJson) out.document('workers', { workers: all });
      else await printWorkers(out, all);
      return EXIT.ok;
    }),
});

function printWorkers(out: Output, all: readonly WorkerInfo[]): Promise<void> {
  return printTable(
    out,
    ['WORKER', 'STATE', 'ACTIVE', 'QUEUES', 'UP', 'SEEN', 'PROCESSES', 'HOST'],
    all.map(({ name, state, active, concurrency, queues, uptimeMs, lastSeenAt, processes }) => [
      name,
      stateCell(state, out),
      `${active}/${concurrency}`,
      Object.entries(queues)
        .map(([queue, served]) => `${queue}=${served.concurrency}`)
        .join(' '),
      state === 'missing' ? '' : longDuration(uptimeMs),
      relative(lastSeenAt),
      `${processes.length}`,
      [...new Set(processes.map(({ host }) => host))].join(' '),
    ]),
    'No worker has told of itself within an hour.',
  );
}
