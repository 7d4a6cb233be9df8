import { totalInvoice } from './contracts.js';
import { close, start } from './worker.js';

await start();
console.log('The worker runs. Start the Celery worker and send.py now.');

const total = await totalInvoice.delay({ lines: [{ cents: 250, count: 2 }] });
console.log('Celery has computed', await total.get());

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close());
