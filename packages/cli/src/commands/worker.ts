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
        "Runs a worker for the tasks that modules define: TypeScript or JavaScript. A banner goes to stderr, the log to stdout: a line for each attempt, and the app's messages. SIGTERM or Ctrl-C lets running jobs end, a second one gives them back.",
      )
      .argument('[modules...]', 'modules that define the tasks and export the app (default: --app)');
    workerFlags(command);
    appFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel worker ./tasks.ts', 'the queues of all its tasks'],
      ['umbel worker ./tasks.ts -q email=20,default -c 5', '20 jobs of email at the same time, 5 of default'],
      ['umbel worker ./src/tasks/*.ts -c 5..50', 'tasks in many modules; concurrency by load'],
      ['umbel worker ./tasks.ts --log-format json', 'for machines, as pino writes it'],
      ['umbel worker ./tasks.ts --until-empty', 'do what there is to do, and end'],
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
    const isConnectionTyped = command.getOptionValueSource('connection') === 'cli';
    const loaded = await loadApp(flags, { modules, logger: log, isConnectionTyped });
    return runWorker({ loaded, flags, out, log });
  },
});
