import { defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { pairs, printFacts, stateCell, valueText } from '../operating/show.js';
import { exact, known } from '../operating/times.js';

/** Of earlier attempts. */
const MOST_ERRORS = 10;
const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

export const show = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('all that is known of one but its result')
      .description('Tells all that is known of a job but its result, which umbel result gives.')
      .argument('<id>', 'id of a job');
    operatorFlags(command);
    examples(command, [
      ['umbel jobs show 3f2a91c0-… --name shop', 'its input, times, progress, log, and why it failed'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const job = await app.jobs.get(id);
      if (job === undefined)
        throw new CliError({
          exitCode: EXIT.notFound,
          what: `There is no job ${id}.`,
          hint: 'Is it of this app, in this store and, with --name, in one of these queues? See --connection and --queue.',
        });
      const logs = await app.result(id).logs();
      if (out.isJson) {
        out.document('job-details', { job, logs });
        return EXIT.ok;
      }
      const { state, ownState, error } = job;
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
        ['input', valueText(job.input, 2)],
        ['progress', valueText(job.progress)],
        ...job.errors.slice(-MOST_ERRORS).map((stack) => ['attempt failed', firstLine(stack)] as const),
        ['error', error === undefined ? (job.reason ?? '') : `${error.name}: ${error.message}`],
        ['log', logs.join('\n')],
      ]);
      return EXIT.ok;
    }),
});
