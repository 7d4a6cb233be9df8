// A process that has nothing left to do but to keep an idle child. It runs what was built.
import { ChildPool } from '../../../dist/worker/isolate/pool.js';

const pool = new ChildPool(1);
const child = pool.take(new URL('./tasks.mjs', import.meta.url).href);
const context = { id: '1', enqueuedAt: new Date() };
await new Promise((resolve) => {
  const run = child.begin({ loaded() {}, message: resolve, exit: () => process.exit(1) });
  child.send({ kind: 'run', run, app: 'isolated', task: 'pid', context, added: {}, withheld: [] });
});
console.log(child.pid);
pool.release(child);
