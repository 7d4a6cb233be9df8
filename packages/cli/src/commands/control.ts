/** `umbel control`: changes running workers and queues, and prints what each worker answered. */
import type { Answers, Duration, Obeyed, Rate } from '@umbel/core';
import { InvalidArgumentError } from 'commander';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { type CommandContext, type CommandModule, defineCommand, defineGroup } from '../command.js';
import { printTable } from '../display.js';
import { CliError, EXIT, type ExitCode } from '../errors.js';
import { type Concurrency, concurrency as concurrencyOf, duration, examples, plainFlag } from '../flags.js';
import {
  type AskFlags,
  answersDocument,
  askFlags,
  askOptions,
  type ConfirmFlags,
  confirmFlag,
  judgeAnswers,
  requireConfirmation,
} from '../operator-flags.js';
import { cleanLine, counted, type Output } from '../output.js';

type RevokeFlags = OperatorFlags & ConfirmFlags & { readonly tag?: string; readonly terminate?: boolean };

const revoke: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('Revoke jobs or workflow runs')
      .description(
        'Revoke jobs or workflow runs: they never start. Running attempts continue, unless --terminate is set. Ended jobs do ' +
          'not change, except for steps that an ended run left behind. With --tag, ask for confirmation, because the number ' +
          'of jobs is unknown.',
      )
      .argument('[ids...]', 'Ids of jobs or workflow runs')
      .addOption(plainFlag('--tag <text>', 'Everything with this tag, instead of ids'))
      .addOption(plainFlag('--terminate', 'Also abort running attempts'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control revoke 3f2a91c0-… --name shop', 'revoke one job or run'],
      ['umbel control revoke --tag import-42 --yes', 'revoke everything with a tag'],
    ]);
  },
  run: (context) => revokeJobs(context, context.flags.terminate === true),
});

const terminate: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('Revoke jobs or workflow runs, and abort running attempts')
      .description(
        'Revoke jobs or workflow runs, and abort their running attempts: their ctx.signal is aborted.',
      )
      .argument('[ids...]', 'Ids of jobs or workflow runs')
      .addOption(plainFlag('--tag <text>', 'Everything with this tag, instead of ids'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [['umbel control terminate 3f2a91c0-… --name shop', 'revoke and abort']]);
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
      what: 'Revoking needs either ids or --tag.',
      why: ids.length === 0 ? 'Got neither.' : 'Got both.',
      hint: 'Pass the ids of jobs or workflow runs, or a tag with --tag.',
    });
  return withSharedApp(context, async (app) => {
    if (tag !== undefined) await requireConfirmation(flags, `Revoke everything tagged "${tag}"?`);
    const revoked =
      tag === undefined
        ? await app.control.revoke(ids, { terminate: isTerminated })
        : await app.control.revokeByTag(tag, { terminate: isTerminated });
    const ended = tag === undefined ? ids.length - revoked : 0;
    if (out.isJson) out.document('revoked', { revoked });
    else out.data(`${revoked} revoked${ended > 0 ? `, ${ended} already ended` : ''}`);
    return EXIT.ok;
  });
}

const pause: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('Pause a queue')
      .description(
        'Pause a queue: workers take no more of its jobs until resume. Running jobs continue. The pause is stored.',
      )
      .argument('<name>', 'Name of the queue');
    operatorFlags(command);
    examples(command, [['umbel control pause mail --name shop', 'pause mail until it is resumed']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.pause(queue);
      if (context.out.isJson) context.out.document('paused', { queue });
      else context.out.data(`queue ${queue} is paused`);
      return EXIT.ok;
    }),
});

const resume: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('Resume a queue')
      .description('Resume a paused queue: workers take its jobs again.')
      .argument('<name>', 'Name of the queue');
    operatorFlags(command);
    examples(command, [['umbel control resume mail --name shop', 'resume mail']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.resume(queue);
      if (context.out.isJson) context.out.document('resumed', { queue });
      else context.out.data(`queue ${queue} is resumed`);
      return EXIT.ok;
    }),
});

const rateLimit: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('Limit the rate at which jobs of a queue start')
      .description('Limit the rate at which jobs of a queue start, across all workers. The limit is stored.')
      .argument('<name>', 'Name of the queue')
      .argument('<rate>', "Rate such as 100/s, 20/m or 5/h, or 'none'", rateOrNone);
    operatorFlags(command);
    examples(command, [
      ['umbel control rate-limit mail 100/m --name shop', 'limit mail to 100 jobs per minute'],
      ['umbel control rate-limit mail none --name shop', 'remove the limit'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const [queue, rate] = context.args as [string, string];
      await app.control.rateLimit(queue, rate === 'none' ? undefined : (rate as Rate)); // parsed above, and validated by core
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

async function printControlResults(out: Output, kind: string, answers: Answers<Obeyed>): Promise<void> {
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

const concurrency: CommandModule = defineCommand<
  WorkersFlags & { readonly queue?: string; readonly total?: boolean }
>({
  define(command) {
    command
      .summary('Set how many jobs run at the same time')
      .description(
        'Set how many jobs of each queue, or of --queue, run at the same time in each worker process, until the process ends. ' +
          'Running jobs continue. With --total, set how many jobs of a queue run across all workers; this limit is stored.',
      )
      .argument('<n>', "Number, or bounds such as 5..50; with --total a number or 'none'", boundsOrNone)
      .addOption(plainFlag('--queue <name>', 'Only this queue'))
      .addOption(plainFlag('--total', 'Limit across all workers (requires --queue)'));
    askFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control concurrency 20 --queue mail --name shop', '20 in each process'],
      ['umbel control concurrency 3 --total --queue mail --name shop', '3 across all workers'],
      [
        'umbel control concurrency none --total --queue mail --name shop',
        'remove the limit across all workers',
      ],
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
      if (queue === undefined) throw refuse('--total requires a queue: pass --queue <name>.');
      if (typeof bounds === 'object') throw refuse('--total expects a number, not bounds.');
    } else if (bounds === undefined) throw refuse("'none' requires --total.");
    return withSharedApp(context, async (app) => {
      if (total && queue !== undefined) {
        await app.control.limitConcurrency(queue, bounds as number | undefined); // checked above
        if (out.isJson) out.document('concurrency', { queue, total: bounds ?? null });
        else
          out.data(`queue ${queue}: ${bounds === undefined ? 'no limit' : `${bounds} across all workers`}`);
        return EXIT.ok;
      }
      const each = { ...askOptions(flags), ...(queue !== undefined && { queue }) };
      const answers = await app.control.setConcurrency(bounds as Concurrency, each); // defined, checked above
      await printControlResults(out, 'concurrency', answers);
      return judgeAnswers(app, out, answers, flags);
    });
  },
});

const addQueue: CommandModule = defineCommand<WorkersFlags & { readonly concurrency?: Concurrency }>({
  define(command) {
    command
      .summary('Add a queue to workers')
      .description('Make workers serve an additional queue, until they end.')
      .argument('<name>', 'Name of the queue')
      .addOption(
        plainFlag('-c, --concurrency <n>', 'Number of its jobs that run at the same time').argParser(
          concurrencyOf,
        ),
      );
    askFlags(command);
    operatorFlags(command);
    examples(command, [['umbel control add-queue mail -w big.1 --name shop', 'let big.1 serve mail too']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { flags, out } = context;
      const [queue] = context.args as [string];
      const limits = flags.concurrency === undefined ? {} : { concurrency: flags.concurrency };
      const answers = await app.control.addQueue(queue, { ...askOptions(flags), ...limits });
      await printControlResults(out, 'add-queue', answers);
      return judgeAnswers(app, out, answers, flags);
    }),
});

const cancelQueue: CommandModule = defineCommand<WorkersFlags>({
  define(command) {
    command
      .summary('Remove a queue from workers')
      .description('Make workers stop serving a queue, until they end. Running jobs continue.')
      .argument('<name>', 'Name of the queue');
    askFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control cancel-queue mail -w small.1 --name shop', 'small.1 serves only its other queues'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { flags, out } = context;
      const [queue] = context.args as [string];
      const answers = await app.control.cancelQueue(queue, askOptions(flags));
      await printControlResults(out, 'cancel-queue', answers);
      return judgeAnswers(app, out, answers, flags);
    }),
});

const shutdown: CommandModule = defineCommand<
  WorkersFlags & ConfirmFlags & { readonly jobsTimeout?: string }
>({
  define(command) {
    command
      .summary('Shut down workers, as SIGTERM does')
      .description(
        'Shut down workers as SIGTERM does: each takes no more jobs, waits for running jobs, returns jobs that exceed the ' +
          'timeout to their queues, and closes. Ask for confirmation first.',
      )
      .addOption(
        plainFlag(
          '--jobs-timeout <time>',
          "Maximum wait for running jobs (default: the worker's shutdownTimeout)",
        ).argParser(duration),
      );
    askFlags(command);
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control shutdown --name shop --yes', 'all workers'],
      ['umbel control shutdown -w mail.1 --jobs-timeout 0 --yes', 'one worker, without waiting for jobs'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { flags, out } = context;
      const { worker, jobsTimeout } = flags;
      await requireConfirmation(
        flags,
        worker === undefined ? 'Shut down every worker?' : `Shut down ${worker.join(', ')}?`,
      );
      const answers = await app.control.shutdown({
        ...askOptions(flags),
        ...(jobsTimeout !== undefined && {
          jobsTimeout: jobsTimeout === '0' ? 0 : (jobsTimeout as Duration),
        }),
      });
      if (out.isJson) out.document('shutdown', answersDocument(answers));
      else
        for (const [name, { active }] of Object.entries(answers.answers))
          out.data(
            `${cleanLine(name)} is shutting down${active > 0 ? `, waiting for ${counted(active, 'job')}` : ''}`,
          );
      return judgeAnswers(app, out, answers, flags);
    }),
});

function boundsOrNone(text: string): string {
  if (text !== 'none') concurrencyOf(text);
  return text;
}

export default defineGroup({
  description:
    'Control the workers, queues and jobs of an app. Changes to jobs and queues are stored, and apply to every worker, ' +
    'including workers that start later. Commands to workers (concurrency, add-queue, cancel-queue, shutdown) apply until ' +
    'the worker ends: the exit code is 75 if an expected worker does not answer, 1 if a worker cannot carry out the ' +
    'command, and 3 if a named worker is unknown.',
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
    ['umbel control pause mail --name shop', 'pause mail until resume'],
    ['umbel control revoke 3f2a91c0-… --name shop', 'revoke one job'],
    ['umbel control shutdown --worker mail.1 --yes', 'shut down a worker'],
  ],
});
