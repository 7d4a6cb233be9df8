import { checkShared, resultCommand, withApp } from '../app-commands.js';
import type { LoadedApp } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { CliError, EXIT } from '../errors.js';
import {
  examples,
  type NamedAppFlags,
  namedAppFlags,
  type OutputFlags,
  outputFlags,
  type SendFlags,
  sendFlags,
  sendOptions,
} from '../flags.js';
import { readInput } from '../input.js';
import { clean, closest } from '../output.js';
import { printWhenDone } from '../waiting.js';

type CallFlags = NamedAppFlags & OutputFlags & SendFlags;

export default defineCommand<CallFlags>({
  define(command) {
    command
      .description(
        'Sends a call of a task and prints its id, or with --wait its result.\n\n' +
          "With the app's code (--app) the input is checked before it is sent; with --name the worker checks it.",
      )
      .argument('<task>', 'name of the task');
    sendFlags(command);
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      [`umbel call email.send --input '{"to":"a@b.c"}'`, 'send, print the id'],
      ['umbel call report --input @input.json --wait', 'print the result, once it is there'],
      ['jq .user in.json | umbel call greet -i - -w', 'input from a pipe'],
      ['umbel call clean.up --name shop --countdown 1h', 'without code, in an hour'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const [task] = context.args as [string];
    const input = await readInput(flags.input);
    return withApp(context, async (loaded) => {
      const { app, isNamed } = loaded;
      if (!isNamed) checkKnown(loaded, task);
      checkShared(app);
      const result = await app.send(task, input, sendOptions(flags));
      const later = resultCommand(result.id, flags, isNamed);
      if (flags.wait) return printWhenDone(result, { ...flags, out, later });
      if (out.isJson) out.document('call', { id: result.id, task });
      else out.data(result.id);
      return EXIT.ok;
    });
  },
});

/** @throws {CliError} if the app's code knows no such task. */
function checkKnown({ app }: LoadedApp, task: string): void {
  const names = app.describe().tasks.map(({ name }) => name);
  if (names.includes(task)) return;
  throw new CliError({
    exitCode: EXIT.notFound,
    what: `There is no task "${task}" in app "${app.name}".`,
    why: clean(closest(task, names)),
    hint: `To send it all the same, unchecked: --name ${app.name}`,
  });
}
