import type { Answers, Duration, Obeyed } from '@umbel/core';
import { type Concurrency, concurrency as concurrencyOf, duration } from '../args.js';
import { type CommandModule, defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type AskFlags, answersDocument, askFlags, askOptions, judgeAnswers } from '../operating/answers.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operating/confirm.js';
import { printTable } from '../operating/show.js';
import type { Output } from '../output/output.js';
import { cleanLine, counted } from '../output/text.js';

type WorkersFlags = OperatorFlags & AskFlags;

async function printObeyed(out: Output, kind: string, answers: Answers<Obeyed>): Promise<void> {
  if (out.isJson) {
    out.document(kind, answersDocument(answers));
    return;
  }
  const rows = Object.entries(answers.answers);
  if (rows.length === 0) return;
  await printTable(
    out,
    ['WORKER', 'SERVES'],
    rows.map(([name, { queues }]) => [
      name,
      Object.entries(queues)
        .map(([queue, served]) => `${queue}=${served.concurrency}`)
        .join(' ') || 'nothing',
    ]),
    '',
  );
}

export const concurrency: CommandModule = defineCommand<
  WorkersFlags & { readonly queue?: string; readonly total?: boolean }
>({
  define(command) {
    command
      .summary('bound how many jobs run at the same time')
      .description(
        'Sets how many jobs of a queue, or of each, run at the same time in each process of the workers, until it ends; those ' +
          'that run go on. With --total: how many of a queue run in all workers together, which is stored.',
      )
      .argument('<n>', "a number, or bounds as 5..50; with --total a number, or 'none'", boundsOrNone)
      .addOption(ownFlag('--queue <name>', 'only of this queue'))
      .addOption(ownFlag('--total', 'of all workers together; needs --queue'));
    askFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control concurrency 20 --queue mail --name shop', 'in each process'],
      ['umbel control concurrency 3 --total --queue mail --name shop', 'in all together'],
      ['umbel control concurrency none --total --queue mail --name shop', 'no bound but their own'],
    ]);
  },
  async run(context) {
    const { flags, out } = context;
    const [n] = context.args as [string];
    const { queue, total } = flags;
    const bounds = n === 'none' ? undefined : concurrencyOf(n);
    const refuse = (why: string) =>
      new CliError({ exitCode: EXIT.usage, what: `The concurrency ${n} cannot be set.`, why });
    if (total) {
      if (queue === undefined) throw refuse('With --total it is that of one queue: --queue <name>.');
      if (typeof bounds === 'object') throw refuse('With --total it is a number.');
    } else if (bounds === undefined) throw refuse('Only with --total there can be none.');
    return withOperated(context, async (app) => {
      if (total && queue !== undefined) {
        await app.control.limitConcurrency(queue, bounds as number | undefined); // looked at above
        if (out.isJson) out.document('concurrency', { queue, total: bounds ?? null });
        else out.data(`queue ${queue}: ${bounds ?? 'no bound'}${bounds === undefined ? '' : ' in all'}`);
        return EXIT.ok;
      }
      const each = { ...askOptions(flags), ...(queue !== undefined && { queue }) };
      const answers = await app.control.setConcurrency(bounds as Concurrency, each); // there is one: above
      await printObeyed(out, 'concurrency', answers);
      return judgeAnswers(app, out, answers, flags);
    });
  },
});

export const addQueue: CommandModule = defineCommand<WorkersFlags & { readonly concurrency?: Concurrency }>({
  define(command) {
    command
      .summary('let workers serve one more queue')
      .description('Lets workers serve one more queue, until they end.')
      .argument('<name>', 'name of a queue')
      .addOption(
        ownFlag('-c, --concurrency <n>', 'its jobs that run at the same time').argParser(concurrencyOf),
      );
    askFlags(command);
    operatorFlags(command);
    examples(command, [['umbel control add-queue mail -w big.1 --name shop', 'one worker more for mail']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { flags, out } = context;
      const [queue] = context.args as [string];
      const own = flags.concurrency === undefined ? {} : { concurrency: flags.concurrency };
      const answers = await app.control.addQueue(queue, { ...askOptions(flags), ...own });
      await printObeyed(out, 'add-queue', answers);
      return judgeAnswers(app, out, answers, flags);
    }),
});

export const cancelQueue: CommandModule = defineCommand<WorkersFlags>({
  define(command) {
    command
      .summary('let workers take no more jobs of a queue')
      .description('Lets workers take no more jobs of a queue, until they end; those that run go on.')
      .argument('<name>', 'name of a queue');
    askFlags(command);
    operatorFlags(command);
    examples(command, [['umbel control cancel-queue mail -w small.1 --name shop', 'it serves the others']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { flags, out } = context;
      const [queue] = context.args as [string];
      const answers = await app.control.cancelQueue(queue, askOptions(flags));
      await printObeyed(out, 'cancel-queue', answers);
      return judgeAnswers(app, out, answers, flags);
    }),
});

export const shutdown: CommandModule = defineCommand<
  WorkersFlags & ConfirmFlags & { readonly jobsTimeout?: string }
>({
  define(command) {
    command
      .summary('end workers, as SIGTERM does')
      .description(
        'Ends workers as SIGTERM does: each takes no more jobs, waits for those that run, gives back those that run too long, ' +
          'and closes. It asks before.',
      )
      .addOption(
        ownFlag(
          '--jobs-timeout <time>',
          'how long they wait for jobs that run (default: as each was told)',
        ).argParser(duration),
      );
    askFlags(command);
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control shutdown --name shop --yes', 'all of them'],
      ['umbel control shutdown -w mail.1 --jobs-timeout 0 --yes', 'one, at once'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { flags, out } = context;
      const { worker, jobsTimeout } = flags;
      await confirmed(flags, worker === undefined ? 'End every worker?' : `End ${worker.join(', ')}?`);
      const answers = await app.control.shutdown({
        ...askOptions(flags),
        ...(jobsTimeout !== undefined && {
          jobsTimeout: jobsTimeout === '0' ? 0 : (jobsTimeout as Duration),
        }),
      });
      if (out.isJson) out.document('shutdown', answersDocument(answers));
      else
        for (const [name, { active }] of Object.entries(answers.answers))
          out.data(`${cleanLine(name)} ends${active > 0 ? `, and waits for ${counted(active, 'job')}` : ''}`);
      return judgeAnswers(app, out, answers, flags);
    }),
});

function boundsOrNone(text: string): string {
  if (text !== 'none') concurrencyOf(text);
  return text;
}
