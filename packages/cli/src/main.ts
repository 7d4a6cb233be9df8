#!/usr/bin/env node
import { runProgram } from './program.js';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // whoever read has enough
  throw error;
});

void runProgram(process.argv.slice(2)).then((code) => {
  // Modules of the user may hold connections open. What was written to a pipe is on its way by then.
  process.stdout.write('', () => process.exit(code));
});
