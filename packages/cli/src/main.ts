#!/usr/bin/env node
import { keepCompiledCode, ownVersion } from './start.js';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // the reader, such as `head`, has closed the pipe
  throw error;
});

const argv = process.argv.slice(2);
if (argv.length === 1 && argv[0] === '--version') console.log(ownVersion());
else {
  keepCompiledCode();
  const { runProgram } = await import('./program.js');
  const code = await runProgram(argv);
  // Exit explicitly, because modules of the user may hold connections open; first flush what was written to a pipe.
  process.stdout.write('', () => process.exit(code));
}
