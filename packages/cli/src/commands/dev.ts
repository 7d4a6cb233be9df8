import type { Connection } from '@umbel/core';
import { loadApp } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { Prompt } from '../dev/prompt.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { type AppFlags, appFlags, examples, type OutputFlags, outputFlags } from '../flags.js';
import { importPackage, MissingPackageError } from '../modules.js';
import { commonWorkerFlags, type WorkerFlags } from '../worker/flags.js';
import { WorkerLog } from '../worker/log.js';
import { runWorker } from '../worker/run-worker.js';

export default defineCommand<AppFlags & OutputFlags & WorkerFlags>({
  define(command) {
    command
      .description(
        'A worker and its store in one process, for development: a store in memory, unless the code, --connection or UMBEL_URL names one. Type the name of a task and its input as JSON to call it. Ctrl-C ends it all.',
      )
      .argument('[modules...]', 'modules that define the tasks and export the app (default: --app)');
    commonWorkerFlags(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel dev ./tasks.ts', 'without any Redis'],
      [`echo 'add {"a":1}' | umbel dev ./tasks.ts`, 'calls from a pipe'],
      ['umbel dev ./tasks.ts -b redis://localhost', 'with one'],
    ]);
  },

  async run({ args, flags: given, out, command }) {
    const [modules = []] = args as [string[]?];
    const flags = given.json ? { ...given, logFormat: 'json' as const } : given;
    const log = new WorkerLog(out, {
      format: flags.logFormat ?? 'pretty',
      level: flags.loglevel,
      hasResults: flags.results === true,
    });
    const loaded = await loadApp(flags, {
      modules,
      logger: log,
      isConnectionTyped: command.getOptionValueSource('connection') === 'cli',
      makeConnection: memoryStore,
    });
    const { app } = loaded;
    const isInMemory = app.describe().store.kind === 'other';
    const prompt = new Prompt(app, out, log);
    try {
      return await runWorker({
        loaded,
        flags: { ...flags, workerName: flags.workerName ?? 'dev' },
        out,
        log,
        ...(isInMemory && { store: 'in memory, gone with this process' }),
        onReady: () => prompt.start(process.stdin),
      });
    } finally {
      prompt.stop();
    }
  },
});

/** A store in memory, unless the environment names one. @throws {CliError} if the package that has it is missing. */
async function memoryStore(folder: string): Promise<Connection | undefined> {
  if (process.env.UMBEL_URL) return undefined;
  try {
    const { memory } = await importPackage('@umbel/testing/memory', folder);
    return memory();
  } catch (error) {
    if (!(error instanceof MissingPackageError)) throw error;
    throw new CliError(
      {
        exitCode: EXIT.usage,
        what: 'There is no store.',
        why: 'Neither --connection nor UMBEL_URL names one, and @umbel/testing, which has one in memory, is not installed.',
        hint: 'npm install --save-dev @umbel/testing',
      },
      { cause: error },
    );
  }
}
