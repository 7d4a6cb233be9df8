/** `umbel jobs`: lists and shows the jobs in the store. */
import type { JobFilter } from '@umbel/core';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand, defineGroup } from '../command.js';
import {
  createInputMasker,
  exactTime,
  longDuration,
  pairs,
  printFacts,
  printTable,
  readableTime,
  relative,
  shortText,
  stateCell,
  type UnmaskedFlags,
  unmaskedFlag,
  valueText,
  waitWords,
} from '../display.js';
import { CliError, EXIT } from '../errors.js';
import { examples, plainFlag } from '../flags.js';
import {
  type FilterFlags,
  filterFlags,
  noteMore,
  type PageFlags,
  pageFlags,
  pickFlags,
  upTo,
} from '../operator-flags.js';

type ListFlags = OperatorFlags &
  FilterFlags &
  PageFlags & { readonly task?: string; readonly queue?: string; readonly run?: string };

const list = defineCommand<ListFlags>({
  define(command) {
    command
      .summary('List jobs by state, task, queue, tag, run and time')
      .description('List jobs: waiting ones first, then running, failed and completed ones.');
    command
      .addOption(plainFlag('--task <name>', 'Of this task'))
      .addOption(plainFlag('--queue <name>', 'In this queue'))
      .addOption(plainFlag('--run <id>', 'Jobs of this workflow run'));
    filterFlags(command);
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel jobs list --state active --name shop', 'running jobs'],
      ['umbel jobs list --task email.send --state failed --since 2h', 'failed jobs of a task'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const keys = ['state', 'tag', 'since', 'until', 'task', 'queue', 'run'] as const;
      const filter = pickFlags(flags, keys) as JobFilter; // core validates the states
      const { items, cursor } = await upTo(flags.limit, flags.cursor, (page) =>
        app.jobs.list({ ...filter, ...page, waitForIndex: true }),
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
            relative(readableTime(enqueuedAt)),
            startedAt === undefined || finishedAt === undefined
              ? ''
              : longDuration(finishedAt.getTime() - startedAt.getTime()),
            shortText(problem ?? reason),
          ],
        ),
        'No jobs match.',
      );
      noteMore(out, cursor);
      return EXIT.ok;
    }),
});

/** Maximum number of errors of earlier attempts that the text shows. */
const MAX_ERRORS = 10;
/** Maximum number of awaited jobs that the text shows; JSON has more. */
const MAX_AWAITED = 10;
const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

const show = defineCommand<OperatorFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary("Show a job's details")
      .description(
        "Show a job's details. For the result, use umbel result. The input is the one that the handler receives, including " +
          'results of earlier steps. Until these are known, it is the part that was sent, with the jobs that the step waits ' +
          'for. With the code of the app (--app), sensitive values are masked.',
      )
      .argument('<id>', 'Id of the job');
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel jobs show 3f2a91c0-… --name shop', 'its input, times, progress, log and error'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app, isNamed) => {
      const { out, flags } = context;
      const [id] = context.args as [string];
      const found = await app.jobs.get(id);
      if (found === undefined)
        throw new CliError({
          exitCode: EXIT.notFound,
          what: `There is no job "${id}".`,
          hint: 'Check the app, the store and, with --name, the queues: --name, --connection and --queue.',
        });
      const maskInput = createInputMasker({ app, isNamed }, flags, out);
      const job = { ...found, input: maskInput(found.task, found.input) };
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
          job.attempt === undefined
            ? `${job.attempts}`
            : `${job.attempts}, attempt ${job.attempt} is running`,
        ],
        ['worker', job.worker ?? ''],
        ['sent', exactTime(readableTime(job.enqueuedAt))],
        ['started', exactTime(job.startedAt)],
        ['ended', exactTime(job.finishedAt)],
        ['expires', exactTime(job.expiresAt)],
        ['run', job.runId ?? ''],
        ['sent by', job.parentId ?? ''],
        ['tags', job.tags.join(' ')],
        ['headers', pairs(job.headers)],
        [waitsFor.length === 0 && inputProblem === '' ? 'input' : 'part of input', valueText(job.input, 2)],
        ['waits', job.wait === undefined ? '' : waitWords(job.wait)],
        ['waits for', waitsForText(waitsFor)],
        ['other input', inputProblem],
        ['progress', valueText(job.progress)],
        ...job.errors.slice(-MAX_ERRORS).map((stack) => ['attempt failed', firstLine(stack)] as const),
        ['error', error === undefined ? (job.reason ?? '') : `${error.name}: ${error.message}`],
        ['log', logs.join('\n')],
      ]);
      return EXIT.ok;
    }),
});

/** Returns the ids, one per line. */
function waitsForText(ids: readonly string[]): string {
  const more = ids.length - MAX_AWAITED;
  return [...ids.slice(0, MAX_AWAITED), ...(more > 0 ? [`and ${more} or more`] : [])].join('\n');
}

export default defineGroup({
  description: 'Inspect jobs.',
  verbs: { list, show },
  examples: [
    ['umbel jobs list --state failed --name shop', 'failed jobs'],
    ['umbel jobs show 3f2a91c0-… --name shop', 'one job, with its input'],
  ],
});
