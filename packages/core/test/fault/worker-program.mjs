// A worker process: `node worker-program.mjs <redis url> <app name> <worker options as JSON> [--listens]`. It runs what was built.
import { createApp } from '@umbel/core';
import { z } from 'zod';

const [url, name, options, listens] = process.argv.slice(2);
const print = (text) => process.stdout.write(`${text}\n`);
const app = createApp({ name, connection: url, logger: { info: print, warn: print, error: print } });

app.task({
  name: 'held',
  input: z.object({ ms: z.number() }),
  run: async ({ ms }, ctx) => {
    ctx.signal.addEventListener('abort', () => print(`aborted: ${ctx.signal.reason.name}`));
    print(`began ${ctx.attempt}`);
    await ctx.sleep(ms);
    return process.pid;
  },
});

// Something of the program's own that keeps the process alive, and listens for signals too.
if (listens === '--listens') {
  const timer = setInterval(() => {}, 1000);
  process.on('SIGTERM', () => {
    print('heard by the program');
    void worker.closed.then((reason) => {
      print(`closed: ${reason}`);
      clearInterval(timer);
    });
  });
}

const worker = await app.worker(JSON.parse(options)).start();
print('ready');
process.on('exit', () => print(`ended: ${worker.state} ${JSON.stringify(worker.counts)}`));
