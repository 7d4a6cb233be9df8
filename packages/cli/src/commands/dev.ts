/** `umbel dev`: runs a worker and its store in one process for development, and sends typed jobs. */
import { createInterface, type Interface } from 'node:readline';
import type { App, Connection } from '@umbel/core';
import { type LoadedApp, loadApp } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { type DashboardServer, DEFAULT_PORT, MAX_PORT, startDashboard } from '../dashboard-server.js';
import { CliError, problemOf } from '../errors.js';
import {
  type AppFlags,
  appFlags,
  examples,
  integer,
  type OutputFlags,
  outputFlags,
  plainFlag,
} from '../flags.js';
import { parseJson } from '../input.js';
import { MissingPackageError, requirePackage } from '../modules.js';
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

interface DevFlags extends AppFlags, OutputFlags, WorkerFlags {
  /** A port, `true` for the usual one, `false` for no dashboard; undefined if the user has not said anything. */
  readonly dashboard?: number | boolean;
}

/**
 * Serves the dashboard beside the worker. Unless the user asks for it, a missing package is no error, and a used port is
 * replaced by a free one. @throws {CliError}
 */
async function serveDashboard(
  { app, folder }: LoadedApp,
  expected: DevFlags['dashboard'],
  out: Output,
): Promise<DashboardServer | undefined> {
  if (expected === false) return undefined;
  const start = (port: number) => startDashboard({ app, folder, port, out });
  if (typeof expected === 'number') return start(expected);
  try {
    return await start(DEFAULT_PORT).catch((error) => (isPortUsed(error) ? start(0) : Promise.reject(error)));
  } catch (error) {
    const isMissing = error instanceof CliError && error.cause instanceof MissingPackageError;
    if (isMissing && expected === undefined) return undefined;
    throw error;
  }
}

const isPortUsed = (error: unknown) =>
  error instanceof CliError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';

export default defineCommand<DevFlags>({
  define(command) {
    command
      .description(
        'Run a worker and its store in one process, for development. The store is in memory unless the code, --connection or UMBEL_URL names one. With @umbel/dashboard installed, it serves the web page of the app, too. To send a job, type the name of a task and its input as JSON. Ctrl-C stops everything.',
      )
      .argument('[modules...]', 'Modules that define the tasks and export the app (default: --app)');
    command
      .addOption(
        plainFlag(
          '--dashboard [port]',
          `Serve the dashboard (default: if it is installed; port ${DEFAULT_PORT}, or a free one)`,
        ).argParser(integer(0, MAX_PORT)),
      )
      .addOption(plainFlag('--no-dashboard', 'Do not serve the dashboard'));
    commonWorkerFlags(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel dev ./tasks.ts', 'without Redis'],
      [`echo 'add {"a":1}' | umbel dev ./tasks.ts`, 'send jobs from a pipe'],
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
    const isInMemory = app.describe().store.kind === 'memory';
    const prompt = new Prompt(app, out, log);
    let dashboard: DashboardServer | undefined;
    try {
      return await runWorker({
        loaded,
        flags: { ...flags, workerName: flags.workerName ?? 'dev' },
        out,
        log,
        ...(isInMemory && { store: 'in memory, lost when this process ends' }),
        onReady: async () => {
          dashboard = await serveDashboard(loaded, flags.dashboard, out);
          if (dashboard !== undefined)
            log.event('info', 'dashboard', `dashboard  ${dashboard.url}`, { url: dashboard.url });
          prompt.start(process.stdin);
        },
      });
    } finally {
      prompt.stop();
      await dashboard?.close();
    }
  },
});

/** Returns a store in memory, or undefined if the environment names a store. @throws {CliError} if @umbel/testing is not installed. */
async function memoryStore(folder: string): Promise<Connection | undefined> {
  if (process.env.UMBEL_URL) return undefined;
  const { memory } = await requirePackage('@umbel/testing/memory', folder, {
    what: 'No store is configured.',
    why: 'Neither --connection nor UMBEL_URL names one, and @umbel/testing, which provides a store in memory, is not installed.',
    otherwise: ', or pass --connection',
  });
  return memory();
}
