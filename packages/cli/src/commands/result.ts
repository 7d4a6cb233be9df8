/** `umbel result`: waits for the result of a job or a run, and prints it. */
import type { AsyncResult, JobInfo } from '@umbel/core';
import { checkStoreIsShared, resultCommand, withApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { CliError, EXIT } from '../errors.js';
import {
  duration,
  examples,
  type NamedAppFlags,
  namedAppFlags,
  type OutputFlags,
  outputFlags,
  plainFlag,
} from '../flags.js';
import { printOutcome, printWhenDone } from '../waiting.js';

type ResultFlags = NamedAppFlags & OutputFlags & { readonly wait?: boolean; readonly timeout?: string };

export default defineCommand<ResultFlags>({
  define(command) {
    command
      .description(
        'Print the result of a job or workflow run as JSON. If it failed, print the error (exit code 1). If it has not ended, ' +
          'print its state (exit code 75).',
      )
      .argument('<id>', 'Id of a job or workflow run')
      .addOption(plainFlag('-w, --wait', 'Wait until it has ended'))
      .addOption(
        plainFlag('--timeout <time>', 'Maximum wait, such as 30s (then exit code 75)').argParser(duration),
      );
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel result 3f2a91c0-… --name shop', 'print its result or state'],
      ['umbel result 3f2a91c0-… -w --timeout 5m | jq .total', 'wait and use the result'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const [id] = context.args as [string];
    return withApp(context, async ({ app, isNamed }) => {
      checkStoreIsShared(app);
      const result = app.result(id);
      const later = resultCommand(id, flags, isNamed);
      if (flags.wait) return printWhenDone(result, { ...flags, out, later });
      const info = await result.info();
      const state = await result.state();
      if (info.finishedAt !== undefined)
        return printOutcome(out, id, await result.outcome({ timeout: '10s' }), later, factsOf(info));
      return printPending(result, state, info);
    });

    async function printPending(result: AsyncResult<unknown>, state: string, info: JobInfo) {
      if (out.isJson) {
        out.document('result', { id: result.id, ...factsOf(info), state });
        return EXIT.timedOut;
      }
      throw new CliError({
        exitCode: EXIT.timedOut,
        what: `Job "${id}" has no result yet.`,
        why: `Its state is ${state}.`,
        hint: 'To wait for it, pass --wait.',
      });
    }
  },
});

/** Returns the fields of a result document that are not part of the outcome. */
function factsOf({ task, queue, attempts, enqueuedAt, startedAt, finishedAt }: JobInfo): object {
  return {
    task,
    queue,
    attempts,
    enqueuedAt,
    ...(startedAt !== undefined && { startedAt }),
    ...(finishedAt !== undefined && { finishedAt }),
  };
}
