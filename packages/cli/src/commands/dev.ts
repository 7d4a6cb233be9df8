/** `umbel dev`: runs a worker and its store in one process for development, and sends typed jobs. */
import { createInterface, type Interface } from 'node:readline';
import type { App, Connection } from '@umbel/core';
import { loadApp } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { CliError, EXIT, problemOf } from '../errors.js';
import { type AppFlags, appFlags, examples, type OutputFlags, outputFlags } from '../flags.js';
import { parseJson } from '../input.js';
import { importPackage, MissingPackageError } from '../modules.js';
import { cleanLine, closest, jsonText, type Output } from '../output.js';
import { commonWorkerFlags, type WorkerFlags } from '../worker/flags.js';
import { WorkerLog } from '../worker/log.js';
import { runWorker } from '../worker/run-worker.js';

// Jobs typed on stdin: the name of a task and its input, one job per line.

class Prompt {
  readonly #app: App;
  readonly #out: Output;
  readonly #log: WorkerLog;
  #lines: Interface | undefined;

  constructor(app: App, out: Output, log: WorkerLog) {
    this.#app = app;
    this.#out = out;
    this.#log = log;
  }

  /** Reads lines from `input` and sends a job for each, until the input ends. */
  start(input: NodeJS.ReadableStream & { readonly isTTY?: boolean }): void {
    const [first] = this.#names();
    if (input.isTTY && first !== undefined)
      this.#out.note(`Type a task and its input, such as: ${cleanLine(first)} {"key":"value"}`);
    // Not in terminal mode, so that Ctrl-C stays a signal.
    this.#lines = createInterface({ input, terminal: false });
    this.#lines.on('line', (line) => {
      if (line.trim() !== '') void this.#call(line.trim());
    });
  }

  stop(): void {
    this.#lines?.close();
  }

  async #call(line: string): Promise<void> {
    const [, task = '', text = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    try {
      const names = this.#names();
      if (!names.includes(task)) {
        this.#log.warn(`There is no task "${task}". ${closest(task, names)}`);
        return;
      }
      const result = await this.#app.send(task, text === '' ? undefined : parseJson(text, 'The input'));
      const value = await result.get();
      this.#log.event('info', 'result', `result     ${cleanLine(result.id)}  ${jsonText(value)}`, {
        id: result.id,
        task,
        result: value,
      });
    } catch (error) {
      const { what, why = '' } = problemOf(error, true);
      const isLogged = error instanceof Error && error.name === 'TaskFailedError'; // the attempt has its log line
      if (!isLogged) this.#log.error(`${what} ${why}`);
    }
  }

  #names(): string[] {
    return this.#app.describe().tasks.map(({ name }) => name);
  }
}

export default defineCommand<AppFlags & OutputFlags & WorkerFlags>({
  define(command) {
    command
      .description(
        'Run a worker and its store in one process, for development. The store is in memory unless the code, --connection or UMBEL_URL names one. To send a job, type the name of a task and its input as JSON. Ctrl-C stops everything.',
      )
      .argument('[modules...]', 'Modules that define the tasks and export the app (default: --app)');
    commonWorkerFlags(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel dev ./tasks.ts', 'without Redis'],
      [`echo 'add {"a":1}' | umbel dev ./tasks.ts`, 'send jobs from a pipe'],
      [
        'umbel dev ./tasks.ts -b pglite:./data',
        'jobs are kept in a folder (npm install @electric-sql/pglite)',
      ],
      ['umbel dev ./tasks.ts -b redis://localhost', 'with Redis'],
    ]);
  },

  async run({ args, flags: typedFlags, out, command }) {
    const [modules = []] = args as [string[]?];
    const flags = typedFlags.json ? { ...typedFlags, logFormat: 'json' as const } : typedFlags;
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
    const { isInMemory } = app.describe().store;
    const prompt = new Prompt(app, out, log);
    try {
      return await runWorker({
        loaded,
        flags: { ...flags, workerName: flags.workerName ?? 'dev' },
        out,
        log,
        ...(isInMemory && { store: 'in memory, lost when this process ends' }),
        onReady: () => prompt.start(process.stdin),
      });
    } finally {
      prompt.stop();
    }
  },
});

/** Returns a store in memory, or undefined if the environment names a store. @throws {CliError} if @umbel/testing is not installed. */
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
        what: 'No store is configured.',
        why: 'Neither --connection nor UMBEL_URL names one, and @umbel/testing, which provides a store in memory, is not installed.',
        hint: 'Run npm install --save-dev @umbel/testing, or pass --connection.',
      },
      { cause: error },
    );
  }
}
