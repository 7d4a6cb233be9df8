import { checkShared, resultCommand, withApp } from '../app-commands.js';
import { signatureOf } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors.js';
import {
  type AppFlags,
  connectionFlag,
  examples,
  type OutputFlags,
  outputFlags,
  type SendFlags,
  sendFlags,
  sendOptions,
} from '../flags.js';
import { readInput } from '../input.js';
import { printWhenDone } from '../waiting.js';

type RunFlags = AppFlags & OutputFlags & SendFlags;

export default defineCommand<RunFlags>({
  define(command) {
    command
      .description(
        'Sends a composition, or a signature, that a module exports, and prints the id of its run, or with --wait its result.',
      )
      .argument(
        '<module>',
        'module and export, as ./pipeline.ts#pipeline; the export may be left out if it is the only one',
      );
    sendFlags(command);
    connectionFlag(command);
    outputFlags(command);
    examples(command, [
      ['umbel run ./pipeline.ts#nightly', 'send it, print the id of the run'],
      [`umbel run ./pipeline.ts -i '{"url":"…"}' --wait`, 'with its input, and wait'],
      ['umbel graph ./pipeline.ts#nightly', 'what it would do'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const [spec] = context.args as [string];
    const input = await readInput(flags.input);
    return withApp(
      context,
      async ({ app, modules: [module] }) => {
        checkShared(app);
        if (module === undefined) throw new Error('the module was loaded');
        const result = await signatureOf(module).applyAsync(input, sendOptions(flags));
        const later = resultCommand(result.id, { app: spec }, false);
        if (flags.wait) return printWhenDone(result, { ...flags, out, later });
        if (out.isJson) out.document('run', { id: result.id });
        else out.data(result.id);
        return EXIT.ok;
      },
      { modules: [spec] },
    );
  },
});
