import type { ScheduleInfo, SyncReport } from '@umbel/core';
import {
  checkShared,
  type OperatorFlags,
  operatorFlags,
  resultCommand,
  withApp,
  withOperated,
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
  ownFlag,
} from '../flags.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operator-flags.js';
import { cleanLine, shortDuration } from '../output.js';
import { printWhenDone } from '../waiting.js';

export const run: CommandModule = defineCommand<
  OperatorFlags & { readonly wait?: boolean; readonly timeout?: string }
>({
  define(command) {
    command
      .summary('send what one sends, at once')
      .description(
        'Sends what a schedule sends at once, also while it is paused; its slots stay as they are. Prints the id, or with ' +
          '--wait the result.',
      )
      .argument('<name>', 'name of a schedule')
      .addOption(ownFlag('-w, --wait', 'wait for the result and print it'))
      .addOption(
        ownFlag('--timeout <time>', 'longest wait, such as 30s; then the exit code is 75').argParser(
          duration,
        ),
      );
    operatorFlags(command);
    examples(command, [['umbel schedule run nightly --name shop', 'now']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
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

function change(verb: 'pause' | 'resume', summary: string, description: string, told: string): CommandModule {
  return defineCommand<OperatorFlags>({
    define(command) {
      command.summary(summary).description(description).argument('<name>', 'name of a schedule');
      operatorFlags(command);
      examples(command, [[`umbel schedule ${verb} nightly --name shop`, 'whatever is deployed meanwhile']]);
    },
    run: (context) =>
      withOperated(context, async (app) => {
        const { out } = context;
        const [name] = context.args as [string];
        await app.schedules.get(name)[verb]();
        if (out.isJson) out.document(`schedule-${verb}d`, { name });
        else out.data(cleanLine(`schedule ${name} ${told}`));
        return EXIT.ok;
      }),
  });
}

export const pause = change(
  'pause',
  'fire no slots of one, until resume',
  'Fires no slots of a schedule until it is resumed, whatever is deployed; what runs goes on.',
  'is paused',
);

export const resume = change(
  'resume',
  'fire slots of one again',
  'Fires slots of a schedule again, from the next one on: those in the pause are not caught up with.',
  'fires again',
);

export const sync: CommandModule = defineCommand<
  AppFlags & OutputFlags & ConfirmFlags & { readonly prune?: boolean }
>({
  define(command) {
    command
      .summary('store what the code declares')
      .description(
        'Stores the schedules that the code declares, as workers do when they start. With --prune it also removes those that ' +
          'the code does not declare, and asks before: another program of the app may declare them.',
      )
      .addOption(ownFlag('--prune', 'remove those that the code does not declare'));
    confirmFlag(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel schedule sync --app ./tasks.ts', 'after a deployment, without a worker'],
      ['umbel schedule sync --app ./tasks.ts --prune --yes', 'and nothing else is scheduled'],
    ]);
  },
  run: (context) =>
    withApp(
      context,
      async ({ app }) => {
        const { out, flags } = context;
        checkShared(app);
        if (flags.prune) await confirmed(flags, 'Remove the schedules that this code does not declare?');
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
    .map(([what, names]) => cleanLine(`${what}: ${names.join(', ')}`));
  return lines.length > 0 ? lines : ['The code declares no schedules, and none are stored.'];
}

export const list: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('schedules, with their next slots and last runs')
      .description(
        'Lists the schedules in the store, and with the code those that it declares, with the next slot and the last run of each.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel schedule list --name shop', 'what the store has'],
      ['umbel schedule list --app ./tasks.ts', 'and what the code declares'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
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
          out.note(cleanLine(`${name} is late by ${shortDuration(lateMs)}: does a worker run?`));
        if (isDrifted && state !== 'unstored' && state !== 'broken')
          out.note(cleanLine(`${name} is declared otherwise than it is stored: umbel schedule sync`));
        if (state === 'unstored')
          out.note(cleanLine(`${name} is declared, and not stored: umbel schedule sync`));
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

export const next: CommandModule = defineCommand<OperatorFlags & { readonly count: number }>({
  define(command) {
    command
      .summary('the next slots of one')
      .description(
        'Prints the next slots of a schedule, those of a paused one too. With jitter they are fired later.',
      )
      .argument('<name>', 'name of a schedule')
      .addOption(ownFlag('-n, --count <n>', 'so many').argParser(integer(1, 1000)).default(5));
    operatorFlags(command);
    examples(command, [['umbel schedule next nightly -n 10 --name shop', 'as ISO times, one a line']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const [name] = context.args as [string];
      const slots = await app.schedules.get(name).next(flags.count);
      if (out.isJson) out.document('schedule-next', { name, next: slots });
      else for (const slot of slots) out.data(`${slot.toISOString()}  ${out.colors.dim(relative(slot))}`);
      if (slots.length === 0) out.note('There are none any more.');
      return EXIT.ok;
    }),
});

export default defineGroup({
  description:
    'Looks at the schedules of an app, pauses them, sends what they send, and stores what the code declares.',
  verbs: { list, next, run, pause, resume, sync },
  examples: [
    ['umbel schedule list --name shop', 'what comes when'],
    ['umbel schedule pause nightly --name shop', 'not tonight'],
    ['umbel schedule run nightly --name shop --wait', 'but now'],
  ],
});
