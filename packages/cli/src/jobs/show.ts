import { defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { maskedInputs, type UnmaskedFlags, unmaskedFlag } from '../operating/sensitive.js';
import { pairs, printFacts, stateCell, valueText } from '../operating/show.js';
import { exact, known } from '../operating/times.js';

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
