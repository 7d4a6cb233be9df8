/** `umbel run`: sends a workflow that a module exports. */
import { checkStoreIsShared, resultCommand, withApp } from '../app-commands.js';
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
        'Send a workflow or signature that a module exports, and print the id of its run, or with --wait its result.',
      )
      .argument(
        '<module>',
        'Module and export, such as ./pipeline.ts#pipeline; the export may be omitted if it is the only one',
      );
    sendFlags(command, 'that of each task');
    connectionFlag(command);
    outputFlags(command);
    examples(command, [
      ['umbel run ./pipeline.ts#nightly', 'send it, print the id of the run'],
      [`umbel run ./pipeline.ts -i '{"url":"…"}' --wait`, 'with an input; wait for the result'],
      ['umbel graph ./pipeline.ts#nightly', 'print its graph without sending it'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const [spec] = context.args as [string];
    const input = await readInput(flags.input);
    return withApp(
      context,
      async ({ app, modules: [module] }) => {
        checkStoreIsShared(app);
        if (module === undefined) throw new Error('Bug in Umbel: the module of `run` was not loaded');
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
