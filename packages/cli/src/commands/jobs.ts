import type { JobFilter } from '@umbel/core';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { defineCommand, defineGroup } from '../command.js';
import {
  exact,
  known,
  longDuration,
  maskedInputs,
  pairs,
  printFacts,
  printTable,
  relative,
  shortText,
  stateCell,
  type UnmaskedFlags,
  unmaskedFlag,
  valueText,
} from '../display.js';
import { CliError, EXIT } from '../errors.js';
import { examples, ownFlag } from '../flags.js';
import {
  type FilterFlags,
  filterFlags,
  given,
  type PageFlags,
  pageFlags,
  tellMore,
  upTo,
} from '../operator-flags.js';

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

/** Of earlier attempts. */
const MOST_ERRORS = 10;
/** Jobs that are named in text; JSON names more. */
const MOST_WAITED_FOR = 10;
const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

export const show = defineCommand<OperatorFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary('all that is known of one but its result')
      .description(
        'Prints all that is known of a job but its result, which umbel result gives. The input is as the handler gets it, ' +
          'also with what earlier steps have given; while that is not known, it is the part that was sent, with the jobs that ' +
          'the step waits for. Sensitive values are masked where the code of the app is known (--app).',
      )
      .argument('<id>', 'id of a job');
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel jobs show 3f2a91c0-… --name shop', 'its input, times, progress, log, and why it failed'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app, isNamed) => {
      const { out, flags } = context;
      const [id] = context.args as [string];
      const found = await app.jobs.get(id);
      if (found === undefined)
        throw new CliError({
          exitCode: EXIT.notFound,
          what: `There is no job ${id}.`,
          hint: 'Is it of this app, in this store and, with --name, in one of these queues? See --connection and --queue.',
        });
      const masked = maskedInputs({ app, isNamed }, flags, out);
      const job = { ...found, input: masked(found.task, found.input) };
      const logs = await app.result(id).logs();
      if (out.isJson) {
        out.document('job-details', { job, logs });
        return EXIT.ok;
      }
      const { state, ownState, error, waitsFor = [], inputProblem = '' } = job;
      printFacts(out, [
        ['id', job.id],
        ['task', job.displayName === job.task ? job.task : `${job.displayName} (${job.task})`],
        ['state', stateCell(state, out)],
        ['record', job.problem ?? ''],
        ['shown as', ownState ?? ''],
        ['queue', job.queue],
        [
          'attempts',
          job.attempt === undefined ? `${job.attempts}` : `${job.attempts}, and number ${job.attempt} runs`,
        ],
        ['worker', job.worker ?? ''],
        ['sent', exact(known(job.enqueuedAt))],
        ['started', exact(job.startedAt)],
        ['ended', exact(job.finishedAt)],
        ['expires', exact(job.expiresAt)],
        ['run', job.runId ?? ''],
        ['sent by', job.parentId ?? ''],
        ['tags', job.tags.join(' ')],
        ['headers', pairs(job.headers)],
        [waitsFor.length === 0 && inputProblem === '' ? 'input' : 'part of input', valueText(job.input, 2)],
        ['waits for', waitsForText(waitsFor)],
        ['other input', inputProblem],
        ['progress', valueText(job.progress)],
        ...job.errors.slice(-MOST_ERRORS).map((stack) => ['attempt failed', firstLine(stack)] as const),
        ['error', error === undefined ? (job.reason ?? '') : `${error.name}: ${error.message}`],
        ['log', logs.join('\n')],
      ]);
      return EXIT.ok;
    }),
});

/** The ids, a line each. */
function waitsForText(ids: readonly string[]): string {
  const more = ids.length - MOST_WAITED_FOR;
  return [...ids.slice(0, MOST_WAITED_FOR), ...(more > 0 ? [`and ${more} or more`] : [])].join('\n');
}

export default defineGroup({
  description: 'Looks at the jobs of tasks that the store holds.',
  verbs: { list, show },
  examples: [
    ['umbel jobs list --state failed --name shop', 'what has failed'],
    ['umbel jobs show 3f2a91c0-… --name shop', 'one, with its input'],
  ],
});
