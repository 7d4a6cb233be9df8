/** `umbel schedule`: lists, shows, stores, pauses, resumes, runs and removes schedules. */
import type { ScheduleInfo, SyncReport } from '@umbel/core';
import {
  checkStoreIsShared,
  type OperatorFlags,
  operatorFlags,
  resultCommand,
  withApp,
  withSharedApp,
} from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import { printTable, relative, stateCell } from '../display.js';
import { EXIT } from '../errors.js';
import {
  type AppFlags,
  appFlags,
  duration,
  examples,
  integer,
  type OutputFlags,
  outputFlags,
  plainFlag,
} from '../flags.js';
import { type ConfirmFlags, confirmFlag, requireConfirmation } from '../operator-flags.js';
import { cleanLine, shortDuration } from '../output.js';
import { printWhenDone } from '../waiting.js';

const run: CommandModule = defineCommand<
  OperatorFlags & { readonly wait?: boolean; readonly timeout?: string }
>({
  define(command) {
    command
      .summary('Run a schedule now')
      .description(
        'Send the job of a schedule now, even while it is paused. Its occurrences do not change. Print the id, or with --wait ' +
          'the result.',
      )
      .argument('<name>', 'Name of the schedule')
      .addOption(plainFlag('-w, --wait', 'Wait for the result and print it'))
      .addOption(
        plainFlag('--timeout <time>', 'Maximum wait, such as 30s (then exit code 75)').argParser(duration),
      );
    operatorFlags(command);
    examples(command, [['umbel schedule run nightly --name shop', 'run nightly now']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const [name] = context.args as [string];
      const result = await app.schedules.get(name).runNow();
      const later = resultCommand(result.id, flags, flags.app === undefined);
      if (flags.wait)
        return printWhenDone(result, {
          out,
          later,
          ...(flags.timeout !== undefined && { timeout: flags.timeout }),
        });
      if (out.isJson) out.document('schedule-run', { name, id: result.id });
      else out.data(result.id);
      return EXIT.ok;
    }),
});

function changeCommand(
  verb: 'pause' | 'resume',
  summary: string,
  description: string,
  example: string,
  outcome: string,
): CommandModule {
  return defineCommand<OperatorFlags>({
    define(command) {
      command.summary(summary).description(description).argument('<name>', 'Name of the schedule');
      operatorFlags(command);
      examples(command, [[`umbel schedule ${verb} nightly --name shop`, example]]);
    },
    run: (context) =>
      withSharedApp(context, async (app) => {
        const { out } = context;
        const [name] = context.args as [string];
        await app.schedules.get(name)[verb]();
        if (out.isJson) out.document(`schedule-${verb}d`, { name });
        else out.data(cleanLine(`schedule ${name} ${outcome}`));
        return EXIT.ok;
      }),
  });
}

const pause = changeCommand(
  'pause',
  'Pause a schedule',
  'Pause a schedule until it is resumed, even across deployments. Running jobs continue.',
  'pause nightly until it is resumed',
  'is paused',
);

const resume = changeCommand(
  'resume',
  'Resume a schedule',
  'Resume a paused schedule with its next occurrence. Occurrences during the pause are not made up.',
  'resume nightly',
  'is resumed',
);

const sync: CommandModule = defineCommand<
  AppFlags & OutputFlags & ConfirmFlags & { readonly prune?: boolean }
>({
  define(command) {
    command
      .summary('Store the schedules that the code declares')
      .description(
        'Store the schedules that the code declares, as workers do when they start. With --prune, also remove the other ' +
          'schedules, after confirmation: another program of the app may declare them.',
      )
      .addOption(plainFlag('--prune', 'Remove schedules that the code does not declare'));
    confirmFlag(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel schedule sync --app ./tasks.ts', 'after a deployment, without a worker'],
      ['umbel schedule sync --app ./tasks.ts --prune --yes', 'remove all other schedules'],
    ]);
  },
  run: (context) =>
    withApp(
      context,
      async ({ app }) => {
        const { out, flags } = context;
        checkStoreIsShared(app);
        if (flags.prune)
          await requireConfirmation(flags, 'Remove the schedules that this code does not declare?');
        const report = await app.schedules.sync({ prune: flags.prune === true });
        if (out.isJson) out.document('schedule-sync', report);
        else for (const line of linesOf(report)) out.data(line);
        return EXIT.ok;
      },
      { needsCode: true },
    ),
});

function linesOf({ added, changed, unchanged, removed, undeclared }: SyncReport): string[] {
  const parts = { added, changed, unchanged, removed, 'not declared here': undeclared };
  const lines = Object.entries(parts)
    .filter(([, names]) => names.length > 0)
    .map(([change, names]) => cleanLine(`${change}: ${names.join(', ')}`));
  return lines.length > 0 ? lines : ['The code declares no schedules, and the store has none.'];
}

const list: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('List schedules with their next occurrence and last run')
      .description(
        'List the schedules in the store, with the next occurrence and the last run of each. With the code, include the ' +
          'schedules that it declares.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel schedule list --name shop', 'schedules in the store'],
      ['umbel schedule list --app ./tasks.ts', 'including those that the code declares'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const all = await app.schedules.list();
      if (out.isJson) out.document('schedules', { schedules: all });
      else
        await printTable(
          out,
          ['SCHEDULE', 'STATE', 'WHEN', 'NEXT', 'LAST', 'SENDS'],
          all.map((info) => [
            info.name,
            stateCell(info.state, out),
            timingText(info),
            info.state === 'paused' ? '' : relative(info.next[0]),
            lastText(info),
            info.target ?? '',
          ]),
          'There are no schedules.',
        );
      for (const { name, lateMs, isDrifted, state } of out.isJson ? [] : all) {
        if (lateMs > 60_000)
          out.note(
            cleanLine(`schedule ${name} is late by ${shortDuration(lateMs)}: check that a worker is running`),
          );
        if (isDrifted && state !== 'unstored' && state !== 'broken')
          out.note(cleanLine(`schedule ${name} differs from its declaration: run umbel schedule sync`));
        if (state === 'unstored')
          out.note(cleanLine(`schedule ${name} is declared but not stored: run umbel schedule sync`));
      }
      return EXIT.ok;
    }),
});

function timingText({ timing }: ScheduleInfo): string {
  if (timing === undefined) return '';
  return 'cron' in timing ? `${timing.cron} ${timing.tz}` : `every ${shortDuration(timing.everyMs)}`;
}

function lastText({ runs: [last] }: ScheduleInfo): string {
  if (last === undefined) return '';
  const how = last.outcome === 'fired' ? (last.state ?? 'fired') : last.outcome;
  return `${how} ${relative(last.at)}`;
}

const next: CommandModule = defineCommand<OperatorFlags & { readonly count: number }>({
  define(command) {
    command
      .summary('Print the next occurrences of a schedule')
      .description(
        'Print the next occurrences of a schedule, even while it is paused. With jitter, jobs are sent later than these times.',
      )
      .argument('<name>', 'Name of the schedule')
      .addOption(
        plainFlag('-n, --count <n>', 'Number of occurrences').argParser(integer(1, 1000)).default(5),
      );
    operatorFlags(command);
    examples(command, [['umbel schedule next nightly -n 10 --name shop', 'as ISO times, one per line']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const [name] = context.args as [string];
      const occurrences = await app.schedules.get(name).next(flags.count);
      if (out.isJson) out.document('schedule-next', { name, next: occurrences });
      else
        for (const occurrence of occurrences)
          out.data(`${occurrence.toISOString()}  ${out.colors.dim(relative(occurrence))}`);
      if (occurrences.length === 0) out.note('The schedule has no more occurrences.');
      return EXIT.ok;
    }),
});

export default defineGroup({
  description: 'Inspect, pause and run schedules, and store the schedules that the code declares.',
  verbs: { list, next, run, pause, resume, sync },
  examples: [
    ['umbel schedule list --name shop', 'schedules and their next occurrences'],
    ['umbel schedule pause nightly --name shop', 'skip tonight'],
    ['umbel schedule run nightly --name shop --wait', 'run it now'],
  ],
});
