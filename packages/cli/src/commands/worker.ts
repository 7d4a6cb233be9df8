/** `umbel worker`: runs a worker of an app until it is closed. */
import { loadApp } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { type AppFlags, appFlags, examples, type OutputFlags, outputFlags } from '../flags.js';
import { type WorkerFlags, workerFlags } from '../worker/flags.js';
import { WorkerLog } from '../worker/log.js';
import { runWorker } from '../worker/run-worker.js';

export default defineCommand<AppFlags & OutputFlags & WorkerFlags>({
  define(command) {
    command
      .description(
        "Run a worker for the tasks that TypeScript or JavaScript modules define. The banner goes to stderr. The log goes to stdout: one line per attempt, and the app's messages. SIGTERM or Ctrl-C waits for running jobs; a second one returns them to their queues.",
      )
      .argument('[modules...]', 'Modules that define the tasks and export the app (default: --app)');
    workerFlags(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel worker ./tasks.ts', 'serve the queues of all its tasks'],
      [
        'umbel worker ./tasks.ts -q email=20,default -c 5',
        'run up to 20 jobs of email and 5 of default at once',
      ],
      ['umbel worker ./src/tasks/*.ts -c 5..50', 'many modules; concurrency follows the load'],
      ['umbel worker ./tasks.ts --log-format json', 'JSON lines in the format of pino'],
      ['umbel worker ./tasks.ts --until-empty', 'stop once the queues are empty'],
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
    const isConnectionTyped = command.getOptionValueSource('connection') === 'cli';
    const loaded = await loadApp(flags, { modules, logger: log, isConnectionTyped });
    return runWorker({ loaded, flags, out, log });
  },
});
