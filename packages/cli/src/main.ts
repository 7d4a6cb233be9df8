#!/usr/bin/env node
import { keepCompiledCode } from './compile-cache.js';
import { ownVersion } from './version.js';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // whoever read has enough
  throw error;
});

const argv = process.argv.slice(2);
if (argv.length === 1 && argv[0] === '--version') console.log(ownVersion());
else {
  keepCompiledCode();
  const { runProgram } = await import('./program.js');
  const code = await runProgram(argv);
  // Modules of the user may hold connections open. What was written to a pipe is on its way by then.
  process.stdout.write('', () => process.exit(code));
}
