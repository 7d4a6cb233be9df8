// A module that starts a worker, which the child of a worker must not.
import { createApp } from '@umbel/core';

const app = createApp({ name: 'isolated' });
app.task({ name: 'tick', isolate: import.meta.url, run: () => 1 });
await app.worker().start();
