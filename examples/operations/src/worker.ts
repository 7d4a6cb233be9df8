/** A worker process: `node dist/worker.js <name>`. SIGTERM lets it finish what it has begun. */
import { prometheusMetrics } from '@umbel/core/prometheus';
import { app } from './tasks.js';

const worker = await app
  .worker({
    name: process.argv[2] ?? 'worker',
    queues: { orders: 5, default: 2 },
    lockDuration: '5s',
    heartbeat: '500ms',
    health: { port: 0, host: '127.0.0.1', metrics: prometheusMetrics(app) },
  })
  .start();
console.log(`ready: http://127.0.0.1:${worker.healthPort}`);
console.log(`closed: ${await worker.closed}`);
