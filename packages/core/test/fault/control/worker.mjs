/** A worker in a process of its own. Ends with the process that started it. */
import { createApp } from '@umbel/core';

const [name, connection, worker] = process.argv.slice(2);
const app = createApp({ name, connection });
app.task({
  name: 'wait',
  queue: 'slow',
  run: (_, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
});
app.task({ name: 'quick', run: async () => process.pid });
process.once('disconnect', () => process.exit(1));
await app.worker({ name: worker, heartbeat: 200 }).start();
process.send('started');
process.channel.unref(); // it must not be what keeps the process alive
