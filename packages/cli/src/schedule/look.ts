import type { ScheduleInfo } from '@umbel/core';
import { integer } from '../args.js';
import { type CommandModule, defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { printTable, stateCell } from '../operating/show.js';
import { relative } from '../operating/times.js';
import { cleanLine, shortDuration } from '../output/text.js';

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
