import { HELP, readArguments } from './arguments.js';
import { exitWithin, stopSignal } from './stop.js';
import { report } from './terminal.js';

/** Closing waits for tasks that are running; they take milliseconds, but a lost store may never answer. */
const CLOSE_TIMEOUT_MS = 1000;

try {
  const args = readArguments(process.argv.slice(2));
  if (args.help) {
    console.log(HELP);
  } else {
    const { run } = await import('./run.js'); // here, so that a wrong UMBEL_URL is told like any other error
    await run(args, stopSignal());
  }
} catch (error) {
  process.exitCode = report(error);
} finally {
  exitWithin(CLOSE_TIMEOUT_MS);
}
