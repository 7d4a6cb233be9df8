// A process with a worker, to be killed while the child of its worker is busy. It runs what was built.
import { createApp } from '@umbel/core';
import { memory } from '../../../../testing/dist/index.js';

const app = createApp({ name: 'parent', connection: memory() });
const isolate = new URL('./tasks.mjs', import.meta.url);
const spin = app.task({ name: 'spin', isolate, run: () => 0 });
await app.worker().start();
const result = await spin.delay();
for await (const pid of result.progress()) console.log(pid);
