// What happens beside the dashboard: `node run/dashboard-load.mjs <url of the Redis> [calls a second]` runs the steps of the
// app "dashboard", and sends and runs calls at a steady rate, until it is killed. Prints a line once it runs.
import { createApp } from '@umbel/core';
import { openLoop } from './open-loop.mjs';

const silent = { info() {}, warn() {}, error() {} };
const app = createApp({ name: 'dashboard', connection: process.argv[2], logger: silent, searchIndex: true });
for (const name of ['step', 'end']) app.task({ name, queue: 'steps', run: () => null });
const plain = app.task({ name: 'plain', queue: 'plain', run: () => null });
await app.worker({ queues: ['steps', 'plain'], concurrency: 50, handleSignals: false }).start();
console.log('running');
process.stdin.resume().once('end', () => process.exit(0)); // with the process that started it
process.once('SIGTERM', () => process.exit(0)); // nothing of the load is kept
const rate = Number(process.argv[3] ?? 0);
if (rate > 0) openLoop(rate, async () => (await plain.delay()).get());
