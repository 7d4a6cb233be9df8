/** What an operator would do in the course of a day, from a process that runs no task. */
import { app, charge, fulfil, stockCount } from './tasks.js';

const soon = { timeout: '20s' } as const;
const print = (what: string, value: unknown) => console.log(`${what}: ${JSON.stringify(value)}`);

// Who is there?
for (const { name, state, queues } of await app.inspect.workers()) print(`worker ${name}`, { state, queues });
const { answers, missing } = await app.inspect.ping(soon);
print('answered', Object.keys(answers).sort());
print('missing', missing);

// Work goes through, and the schedule fires.
print('shipped', await (await fulfil.delay({ order: 1, cents: 4900 })).get(soon));
for await (const event of app.events({ from: 'start', tasks: ['stock.count'], types: ['completed'] })) {
  print('counted by the schedule', event.task);
  break;
}
const [run] = (await stockCount.info()).runs;
print('last slot', {
  outcome: run?.outcome,
  isLate: (run?.at.getTime() ?? 0) - (run?.slot.getTime() ?? 0) > 5000,
});

// A queue is stopped for a while, and is seen to fill.
await app.control.pause('orders');
const held = await fulfil.delay({ order: 2, cents: 100 });
const orders = (await app.inspect.queues()).find(({ name }) => name === 'orders');
print('orders', { isPaused: orders?.isPaused, waiting: orders?.counts.waiting, workers: orders?.workers });
await app.control.resume('orders');
print('resumed', await held.get(soon));

// Something is wrong with an order: it is found, mended and run once more.
const free = await charge.delay({ order: 3, cents: 0 });
await free.outcome(soon);
const { items: failed } = await app.jobs.list({ state: 'failed', task: 'order.charge' });
print('failed', failed.length);
const [letter] = await app.deadLetters.list({ task: 'order.charge' });
print('dead letter', { input: letter?.input, error: letter?.error.message });
await app.deadLetters.replay(free.id, { input: { order: 3, cents: 250 } });
print('replayed', await free.get(soon));

// One worker goes; the other one serves on.
const { answers: told } = await app.control.shutdown({ workers: ['b'] });
print('told to end', Object.keys(told));
for await (const event of app.events({ from: 'start', types: ['worker-offline'] })) {
  print('offline', event.worker.name);
  break;
}
print('still shipping', await (await fulfil.delay({ order: 4, cents: 700 })).get(soon));
await app.close();
