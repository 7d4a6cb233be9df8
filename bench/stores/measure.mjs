// Figures of one system on one store, in milliseconds by name. A system leaves out what it has not.
import { inFlight } from '../run/in-flight.mjs';
import * as bullmq from '../systems/bullmq.mjs';

const WIDTH = 100;
const LATENCY_CALLS = 50;
const ANSWER = { timeout: '5m' };

/** The sizes of a run: the small workflows come first, so that no store still has the work of large ones to clean up. */
const SIZES = { tasks: 1000, workflows: [1000, 10_000] };

/** Titles of the figures, in their order. Smaller is better for each. */
export const TITLES = {
  get: `one task, from sending it to its result, median of ${LATENCY_CALLS}`,
  send: `${SIZES.tasks} tasks sent by as many calls, ${WIDTH} at a time`,
  process: `the same tasks, run by a worker that starts then`,
  single: 'both',
  bulk: `${SIZES.tasks} tasks sent by one call, to the last one run`,
  ...Object.fromEntries(
    SIZES.workflows.flatMap((size) => [
      [`chord${size}`, `a chord of ${size}`],
      [`chain${size}`, `a chain of ${size}`],
    ]),
  ),
};

async function timed(action) {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function latency(call) {
  await call();
  const times = [];
  for (let n = 0; n < LATENCY_CALLS; n += 1) times.push(await timed(call));
  return median(times);
}

/** Tasks that wait, run by a worker that starts then; after it, the worker stays. */
async function singles({ sendOne, ran, start }) {
  await sendOne(0); // connects
  const send = await timed(() => inFlight(SIZES.tasks - 1, WIDTH, sendOne));
  const all = ran(SIZES.tasks);
  const process = await timed(async () => {
    await start();
    await all;
  });
  return { send, process, single: send + process };
}

/** Each returns the figures that `wants` returns true for; those of single tasks in any case. */
const SYSTEMS = {
  async umbel(url, wants) {
    const { open } = await import('../systems/umbel.mjs');
    const { chain, chord } = await import('@umbel/canvas');
    const own = open(url);
    const inputs = Array.from({ length: SIZES.tasks }, (_, a) => ({ a }));
    const figures = await singles({
      sendOne: (a) => own.noop.delay({ a }),
      ran: own.noops,
      start: () => own.start(),
    });
    if (wants('get')) figures.get = await latency(async () => (await own.noop.delay({ a: 1 })).get(ANSWER));
    if (wants('bulk')) {
      const all = own.noops(SIZES.tasks);
      figures.bulk = await timed(() => Promise.all([own.noop.sendMany(inputs), all]));
    }
    const members = (count) => Array.from({ length: count }, (_, n) => own.one.si(n));
    const runChord = async (count) => (await chord(members(count), own.sum).delay()).get(ANSWER);
    for (const size of SIZES.workflows) {
      if (wants(`chord${size}`)) {
        await runChord(2);
        figures[`chord${size}`] = await timed(() => runChord(size));
      }
      if (!wants(`chain${size}`)) continue;
      const steps = Array.from({ length: size - 1 }, () => own.increment.s());
      const call = chain(own.increment.s({ n: 0 }), ...steps);
      figures[`chain${size}`] = await timed(async () => (await call.delay()).get(ANSWER));
    }
    await own.close();
    return figures;
  },
  async bullmq(url, wants) {
    const own = bullmq.open(url);
    const figures = await singles({
      sendOne: (a) => own.queue.add('noop', { a }),
      ran: own.jobs,
      start: () => own.start(),
    });
    const flows = await own.flows();
    if (wants('get'))
      figures.get = await latency(async () =>
        (await own.queue.add('noop', { a: 1 })).waitUntilFinished(flows.events),
      );
    if (wants('bulk')) {
      const jobs = Array.from({ length: SIZES.tasks }, (_, a) => ({ name: 'noop', data: { a } }));
      const all = own.jobs(SIZES.tasks);
      figures.bulk = await timed(() => Promise.all([own.queue.addBulk(jobs), all]));
    }
    for (const size of SIZES.workflows) {
      if (wants(`chord${size}`) && (size <= WIDEST_FLOW || !isPostgres(url))) {
        await flows.run(bullmq.chordOf(own.name, 2));
        figures[`chord${size}`] = await timed(() => flows.run(bullmq.chordOf(own.name, size)));
      }
      if (wants(`chain${size}`) && size <= DEEPEST_FLOW)
        figures[`chain${size}`] = await timed(() => flows.run(bullmq.chainOf(own.name, size)));
    }
    await own.close();
    return figures;
  },
  async 'pg-boss'(url, wants) {
    const { open } = await import('../systems/pg-boss.mjs');
    const own = await open(url);
    const figures = await singles({ sendOne: (a) => own.send({ a }), ran: own.jobs, start: own.start });
    if (wants('bulk')) {
      const inputs = Array.from({ length: SIZES.tasks }, (_, a) => ({ a }));
      const all = own.jobs(SIZES.tasks);
      figures.bulk = await timed(() => Promise.all([own.sendAll(inputs), all]));
    }
    await own.close();
    return figures;
  },
};

const isPostgres = (url) => url.startsWith('postgres');

/** On PostgreSQL, a flow takes time with the square of its children: ten times as many would take a quarter of an hour. */
const WIDEST_FLOW = 1000;

/** `FlowProducer` adds no deeper tree. */
const DEEPEST_FLOW = 1000;

export function measure(system, url, wants) {
  return SYSTEMS[system](url, wants);
}

/** Whether a system runs on a store. */
export function runsOn(system, url) {
  return system === 'umbel' || isPostgres(url) || (system === 'bullmq' && url.startsWith('redis'));
}
