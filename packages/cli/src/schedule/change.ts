import type { SyncReport } from '@umbel/core';
import { checkShared, resultCommand, withApp } from '../app-commands.js';
import { duration } from '../args.js';
import { type CommandModule, defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { type AppFlags, appFlags, examples, type OutputFlags, outputFlags, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operating/confirm.js';
import { cleanLine } from '../output/text.js';
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
