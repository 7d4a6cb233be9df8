/** A worker that kills itself at a point of its work: `node worker.js '<settings as JSON>'`. */
import { createApp } from '@umbel/core';
import { createRedisBackend } from 'bullmq';
import { dyingStore } from '../../../packages/canvas/test/support/dying-store.js';
import type { KillPoint } from '../../../packages/canvas/test/support/kill-points.js';
import { shapeTasks } from '../../../packages/canvas/test/support/shapes.js';

export interface DyingWorker {
  readonly app: string;
  readonly url: string;
  readonly lockMs: number;
  readonly point: KillPoint;
}

// It ends with the program that has started it, which may have ended while this file was loaded.
if (!process.connected) process.exit(0);
process.on('disconnect', () => process.exit(0));

const { app: name, url, lockMs, point } = JSON.parse(process.argv[2] ?? '') as DyingWorker;
const kill = () => process.kill(process.pid, 'SIGKILL');
const atCommand = typeof point === 'string' ? undefined : point;
const store = dyingStore(createRedisBackend, url, atCommand, 1, kill);
const app = createApp({ name, connection: store.connection });
shapeTasks(app, async (moment) => {
  if (moment === point) await store.die();
});
await app.worker({ lockDuration: lockMs }).start();
process.send?.('ready');
