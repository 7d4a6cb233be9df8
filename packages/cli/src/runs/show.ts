import { list } from '../args.js';
import { type CommandModule, defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { readInput } from '../input.js';
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

export const resume: CommandModule = defineCommand<OperatorFlags & { readonly input?: readonly string[] }>({
  define(command) {
    command
      .summary('run what has failed of one again')
      .description(
        'Runs what has failed of a run again, with all its attempts, and then what waits for it; what has succeeded keeps its ' +
          'result. Of one that has not failed the exit code is 1. With --input, a step gets another input: it is checked ' +
          "against the task's schema before anything is changed, so the code of the task is needed (--app).",
      )
      .argument('<id>', 'id of a run, or of a call')
      .addOption(
        ownFlag(
          '-i, --input <step=json>',
          'another input for a step, by its id or path; repeatable',
        ).argParser(list),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs resume 3f2a91c0-… --name shop', 'from where it failed'],
      [`umbel runs resume 3f2a91c0-… -A ./tasks.ts -i '0-1={"to":"a@b.c"}'`, 'with another input for a step'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const inputs = await inputsOf(context.flags.input ?? []);
      const jobs = await app.result(id).resume({ inputs });
      if (out.isJson) out.document('run-resumed', { id, jobs });
      else out.data(`${counted(jobs, 'job')} ${jobs === 1 ? 'runs' : 'run'} again`);
      return EXIT.ok;
    }),
});

/** The inputs that are given as `step=json`, `step=@file` or `step=-`. */
async function inputsOf(flags: readonly string[]): Promise<Record<string, unknown>> {
  const inputs: [string, unknown][] = [];
  for (const flag of flags) {
    const [, step, text] = /^([^=]+)=([\s\S]+)$/.exec(flag) ?? [];
    if (step === undefined || text === undefined)
      throw new CliError({
        exitCode: EXIT.usage,
        what: `The input "${flag}" names no step.`,
        why: 'Expected a step and its input, as JSON, @file or -.',
        hint: `Write --input '0-1={"to":"a@b.c"}'; umbel runs tree has the ids of the steps.`,
      });
    if (inputs.some(([other]) => other === step))
      throw new CliError({
        exitCode: EXIT.usage,
        what: `Step "${step}" has two inputs.`,
        why: 'Expected one --input for each step.',
      });
    inputs.push([step, await readInput(text)]);
  }
  return Object.fromEntries(inputs);
}

function unknownRun(id: string): CliError {
  return new CliError({
    exitCode: EXIT.notFound,
    what: `There is no run ${id}.`,
    why: 'Ids of calls are looked at with umbel jobs show.',
    hint: 'Is it of this app, and in this store? See --name and --connection.',
  });
}
