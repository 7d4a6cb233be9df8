import type { Answers, Duration, Obeyed, Rate } from '@umbel/core';
import { InvalidArgumentError } from 'commander';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { type CommandContext, type CommandModule, defineCommand, defineGroup } from '../command.js';
import { printTable } from '../display.js';
import { CliError, EXIT, type ExitCode } from '../errors.js';
import { type Concurrency, concurrency as concurrencyOf, duration, examples, ownFlag } from '../flags.js';
import {
  type AskFlags,
  answersDocument,
  askFlags,
  askOptions,
  type ConfirmFlags,
  confirmed,
  confirmFlag,
  judgeAnswers,
} from '../operator-flags.js';
import { cleanLine, counted, type Output } from '../output.js';

type RevokeFlags = OperatorFlags & ConfirmFlags & { readonly tag?: string; readonly terminate?: boolean };

export const revoke: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('keep jobs or whole runs from starting, for good')
      .description(
        'Keeps jobs or whole runs from starting, for good. What runs goes on, unless --terminate is given. What has ended is ' +
          'left as it is, but for steps that a run has left behind. By tag it asks before, since nobody sees how many are meant.',
      )
      .argument('[ids...]', 'ids of calls or runs')
      .addOption(ownFlag('--tag <text>', 'all that bears this tag, instead of ids'))
      .addOption(ownFlag('--terminate', 'also give up attempts that run'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control revoke 3f2a91c0-… --name shop', 'one'],
      ['umbel control revoke --tag import-42 --yes', 'all that bears a tag'],
    ]);
  },
  run: (context) => revokeJobs(context, context.flags.terminate === true),
});

export const terminate: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('the same, and give up attempts that run')
      .description(
        'Revokes jobs or whole runs, and gives up their attempts that run: their ctx.signal is aborted.',
      )
      .argument('[ids...]', 'ids of calls or runs')
      .addOption(ownFlag('--tag <text>', 'all that bears this tag, instead of ids'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [['umbel control terminate 3f2a91c0-… --name shop', 'one']]);
  },
  run: (context) => revokeJobs(context, true),
});

function revokeJobs(context: CommandContext<RevokeFlags>, isTerminated: boolean): Promise<ExitCode> {
  const { out, flags } = context;
  const [ids = []] = context.args as [string[]?];
  const { tag } = flags;
  if ((ids.length === 0) === (tag === undefined))
    throw new CliError({
      exitCode: EXIT.usage,
      what: 'Which jobs?',
      why: 'Either ids are named, or a tag is with --tag.',
    });
  return withOperated(context, async (app) => {
    if (tag !== undefined) await confirmed(flags, `Revoke all that bears the tag "${tag}"?`);
    const revoked =
      tag === undefined
        ? await app.control.revoke(ids, { terminate: isTerminated })
        : await app.control.revokeByTag(tag, { terminate: isTerminated });
    const ended = tag === undefined ? ids.length - revoked : 0;
    if (out.isJson) out.document('revoked', { revoked });
    else out.data(`${revoked} revoked${ended > 0 ? `, ${counted(ended, 'has', 'have')} ended before` : ''}`);
    return EXIT.ok;
  });
}

export const pause: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('let workers take no more jobs of a queue')
      .description(
        'Lets workers take no more jobs of a queue, until resume; those that run go on. It is stored.',
      )
      .argument('<name>', 'name of a queue');
    operatorFlags(command);
    examples(command, [['umbel control pause mail --name shop', 'until it is resumed']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.pause(queue);
      if (context.out.isJson) context.out.document('paused', { queue });
      else context.out.data(`queue ${queue} is paused`);
      return EXIT.ok;
    }),
});

export const resume: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('let them take jobs of it again')
      .description('Lets workers take jobs of a queue again.')
      .argument('<name>', 'name of a queue');
    operatorFlags(command);
    examples(command, [['umbel control resume mail --name shop', 'after pause']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.resume(queue);
      if (context.out.isJson) context.out.document('resumed', { queue });
      else context.out.data(`queue ${queue} is served again`);
      return EXIT.ok;
    }),
});

export const rateLimit: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('bound how many jobs of a queue start in a time')
      .description('Bounds how many jobs of a queue start in a time, in all workers together. It is stored.')
      .argument('<name>', 'name of a queue')
      .argument('<rate>', "such as 100/s, 20/m, 5/h; 'none' for no bound", rateOrNone);
    operatorFlags(command);
    examples(command, [
      ['umbel control rate-limit mail 100/m --name shop', 'slower'],
      ['umbel control rate-limit mail none --name shop', 'as fast as it goes'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue, rate] = context.args as [string, string];
      await app.control.rateLimit(queue, rate === 'none' ? undefined : (rate as Rate)); // it is checked, and again there
      if (context.out.isJson)
        context.out.document('rate-limit', { queue, rate: rate === 'none' ? null : rate });
      else context.out.data(rate === 'none' ? `queue ${queue} has no rate limit` : `queue ${queue}: ${rate}`);
      return EXIT.ok;
    }),
});

function rateOrNone(text: string): string {
  if (text === 'none' || /^\d+\/[smhd]$/.test(text)) return text;
  throw new InvalidArgumentError("Expected a rate such as '100/s' or '20/m', or 'none'.");
}

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

export default defineGroup({
  description:
    'Directs the workers, queues and jobs of an app. What concerns jobs and queues is stored, and holds for every worker, ' +
    'also for those that start later. Orders to workers (concurrency, add-queue, cancel-queue, shutdown) hold until they ' +
    'end: the exit code is 75 if one that should answer does not, 1 if one cannot obey, 3 if one that is named is not known.',
  verbs: {
    revoke,
    terminate,
    pause,
    resume,
    'rate-limit': rateLimit,
    concurrency,
    'add-queue': addQueue,
    'cancel-queue': cancelQueue,
    shutdown,
  },
  examples: [
    ['umbel control pause mail --name shop', 'no more mail, until resume'],
    ['umbel control revoke 3f2a91c0-… --name shop', 'not this one'],
    ['umbel control shutdown --worker mail.1 --yes', 'end a worker, as SIGTERM does'],
  ],
});
