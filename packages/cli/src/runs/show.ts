import { type CommandModule, defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { pairs, printFacts, stateCell } from '../operating/show.js';
import { exact, known } from '../operating/times.js';
import { counted } from '../output/text.js';

export const show: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('all that is known of one but its result')
      .description('Tells all that is known of a run but its result, which umbel result gives.')
      .argument('<id>', 'id of a run');
    operatorFlags(command);
    examples(command, [['umbel runs show 3f2a91c0-… --name shop', 'how far it is, and why it failed']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const run = await app.runs.get(id);
      if (run === undefined) throw unknownRun(id);
      if (out.isJson) {
        out.document('run-details', { run });
        return EXIT.ok;
      }
      const { counts, error } = run;
      printFacts(out, [
        ['id', run.id],
        ['state', stateCell(run.state, out)],
        ['record', run.problem ?? ''],
        ['steps', pairs(Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)))],
        ['sent', exact(known(run.enqueuedAt))],
        ['ended', exact(run.finishedAt)],
        ['tags', run.tags.join(' ')],
        ['headers', pairs(run.headers)],
        ['sent by', run.parentId ?? ''],
        ['error', error === undefined ? '' : `${error.name}: ${error.message}`],
      ]);
      return EXIT.ok;
    }),
});

export const resume: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('run what has failed of one again')
      .description(
        'Runs what has failed of a run again, with all its attempts, and then what waits for it; what has succeeded keeps its ' +
          'result. Of one that has not failed the exit code is 1.',
      )
      .argument('<id>', 'id of a run, or of a call');
    operatorFlags(command);
    examples(command, [['umbel runs resume 3f2a91c0-… --name shop', 'from where it failed']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const jobs = await app.result(id).resume();
      if (out.isJson) out.document('run-resumed', { id, jobs });
      else out.data(`${counted(jobs, 'job')} ${jobs === 1 ? 'runs' : 'run'} again`);
      return EXIT.ok;
    }),
});

function unknownRun(id: string): CliError {
  return new CliError({
    exitCode: EXIT.notFound,
    what: `There is no run ${id}.`,
    why: 'Ids of calls are looked at with umbel jobs show.',
    hint: 'Is it of this app, and in this store? See --name and --connection.',
  });
}
