// BullMQ's side, without Umbel: `node bullmq.mjs worker`, `node bullmq.mjs sender`. A chord is a flow: a body whose
// children are the header. SETTINGS=documented raises what its documentation names for workers that die.
import { setTimeout } from 'node:timers/promises';
import { FlowProducer, Queue, Worker } from 'bullmq';
import { note } from './ledger.mjs';
import { resultOf } from './plan.mjs';
import { answer } from './sender.mjs';

const QUEUE = 'kills';
const connection = { url: process.env.REDIS };
const isDefault = process.env.SETTINGS === 'default';
const workerOptions = isDefault ? {} : { maxStalledCount: 50 };
const childOptions = isDefault ? {} : { failParentOnFailure: true };
const DAY_S = 86_400;

const handlers = {
  async step({ data: { chord, n, ms } }) {
    note({ event: 'start', chord, n });
    await setTimeout(ms);
    note({ event: 'end', chord, n });
    return resultOf(chord, n);
  },
  async total(job) {
    const sum = Object.values(await job.getChildrenValues()).reduce((all, value) => all + value, 0);
    note({ event: 'body', chord: job.data.chord, sum });
    return sum;
  },
};

if (process.argv[2] === 'worker') {
  const worker = new Worker(QUEUE, (job) => handlers[job.name](job), {
    connection,
    concurrency: Number(process.env.CONCURRENCY),
    removeOnComplete: { age: DAY_S },
    removeOnFail: { age: 7 * DAY_S },
    ...workerOptions,
  });
  worker.on('error', (error) => console.error(error));
  await worker.waitUntilReady();
  console.log('ready');
} else {
  const flows = new FlowProducer({ connection });
  const queue = new Queue(QUEUE, { connection });
  const sent = new Map();
  await answer({
    async send(chords) {
      await Promise.all(
        chords.map(async ({ chord, ms }) => {
          const children = ms.map((time, n) => ({
            name: 'step',
            queueName: QUEUE,
            data: { chord, n, ms: time },
            opts: childOptions,
          }));
          const { job } = await flows.add({ name: 'total', queueName: QUEUE, data: { chord }, children });
          sent.set(chord, job);
        }),
      );
    },
    async sendTasks(tasks) {
      for (const task of tasks) sent.set(task.n, await queue.add('step', task));
    },
    async states() {
      // A header task that has failed counts as its chord's failure, though the body may be parked for ever.
      const failed = new Set((await queue.getFailed(0, -1)).map(({ data }) => data.chord));
      const states = await Promise.all(
        [...sent].map(async ([id, job]) => {
          const isDone = (await job.getState()) === 'completed';
          return [id, isDone ? 'done' : failed.has(id) ? 'failed' : 'open'];
        }),
      );
      return Object.fromEntries(states);
    },
  });
  await Promise.all([flows.close(), queue.close()]);
}
