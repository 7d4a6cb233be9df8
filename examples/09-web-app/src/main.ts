import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

if (process.env.UMBEL_URL) {
  const file = fileURLToPath(new URL('./worker.js', import.meta.url));
  const worker = spawn(process.execPath, [file], { stdio: 'inherit' }); // a process of its own
  process.once('exit', () => worker.kill());
  worker.unref();
} else {
  await import('./worker.js'); // what is in this process's memory, no other process could take
}
await import('./server.js');
