#!/usr/bin/env node
/** The entry of `umbel`. It answers `--version` without loading the program. */
import { keepCompiledCode, ownVersion } from './start.js';

const argv = process.argv.slice(2);
/** Whether the command runs tasks. These go on without a log: the reader of a log may restart, and its disk may be full. */
const runsTasks = argv[0] === 'worker' || argv[0] === 'dev';
let isLogLost = false;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (runsTasks) {
    if (!isLogLost)
      console.error(`umbel: the log cannot be written any more (${error.message}); tasks go on`);
    isLogLost = true;
    return;
  }
  if (error.code === 'EPIPE') process.exit(); // the reader, such as `head`, has closed the pipe
  throw error;
});
process.stderr.on('error', () => {}); // nobody could be told
if (argv.length === 1 && argv[0] === '--version') console.log(ownVersion());
else {
  keepCompiledCode();
  const { runProgram } = await import('./program.js');
  const code = await runProgram(argv);
  // Exit explicitly, because modules of the user may hold connections open; first flush what was written to a pipe.
  process.stdout.write('', () => process.exit(code));
}
