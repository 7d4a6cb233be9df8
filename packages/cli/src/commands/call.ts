/** `umbel call`: sends one job and, with `--wait`, prints its result. */
import { checkStoreIsShared, resultCommand, withApp } from '../app-commands.js';
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
        'Send a job and print its id, or with --wait its result.\n\n' +
          "With the app's code (--app), the input is validated before it is sent. With --name, the worker validates it.",
      )
      .argument('<task>', 'Name of the task');
    sendFlags(command, "the task's, or 'default' with --name");
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      [`umbel call email.send --input '{"to":"a@b.c"}'`, 'send a job, print its id'],
      ['umbel call report --input @input.json --wait', 'wait and print the result'],
      ['jq .user in.json | umbel call greet -i - -w', 'read the input from a pipe'],
      ['umbel call clean.up --name shop --countdown 1h', 'without code, in one hour'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const [task] = context.args as [string];
    const input = await readInput(flags.input);
    return withApp(context, async (loaded) => {
      const { app, isNamed } = loaded;
      if (!isNamed) checkTask(loaded, task);
      checkStoreIsShared(app);
      const result = await app.send(task, input, sendOptions(flags));
      const later = resultCommand(result.id, flags, isNamed);
      if (flags.wait) return printWhenDone(result, { ...flags, out, later });
      if (out.isJson) out.document('call', { id: result.id, task });
      else out.data(result.id);
      return EXIT.ok;
    });
  },
});

/** @throws {CliError} if the app's code does not define the task. */
function checkTask({ app }: LoadedApp, task: string): void {
  const names = app.describe().tasks.map(({ name }) => name);
  if (names.includes(task)) return;
  throw new CliError({
    exitCode: EXIT.notFound,
    what: `App "${app.name}" has no task "${task}".`,
    why: clean(closest(task, names)),
    hint: `To send it without validation, pass --name ${app.name}.`,
  });
}
