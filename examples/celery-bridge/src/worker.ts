import { Redis } from 'ioredis';
import { CeleryBridge } from './bridge.js';
import { CeleryClient } from './celery/client.js';
import { app, redisUrl, sendMail, totalInvoice } from './contracts.js';

const redis = new Redis(redisUrl);
const celery = new CeleryClient(redis);

app.implement(
  totalInvoice,
  // What Celery returns is checked against the contract's output.
  async ({ lines }, ctx) =>
    (await celery.run('billing.total', { kwargs: { lines } }, ctx)) as { cents: number },
);

app.implement(sendMail, async ({ to, subject }) => {
  if (to.endsWith('.invalid')) throw new RangeError(`no mail server for ${to}`);
  return { sent: `${subject} to ${to}` };
});

const bridge = new CeleryBridge(app, redis, { tasks: [sendMail] });
const worker = app.worker({ handleSignals: false });

export async function start(): Promise<void> {
  await worker.start();
  bridge.start();
}

export async function close(): Promise<void> {
  await app.close(); // running jobs end first: they may still wait for Celery
  await bridge.close();
  celery.close();
  redis.disconnect();
}
