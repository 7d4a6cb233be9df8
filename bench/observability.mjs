// What metrics and traces cost: no-op tasks, and the steps of a chain, on memory(), with and without them.
// `npm run bench:observability` (`-- --jobs 20000 --rounds 5`)
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { tracing } from '@umbel/core/opentelemetry';
import { prometheusMetrics } from '@umbel/core/prometheus';
import { memory } from '@umbel/testing';
import { z } from 'zod';

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '5' } },
});
const jobs = Number(values.jobs);
const rounds = Number(values.rounds);
const CONCURRENCY = 100;
const STEPS = 10;

/** Microseconds of processor time a job, to send and to run it; other programs on the machine are no part of it. */
async function microseconds({ isTraced, isMeasured, hasSdk, asChains }) {
  if (hasSdk) startSdk();
  const app = createApp({
    name: `bench-${randomUUID()}`,
    connection: memory(),
    middleware: isTraced ? [tracing()] : [],
  });
  const metrics = isMeasured ? prometheusMetrics(app) : undefined;
  let left = jobs;
  let done;
  const ended = new Promise((resolve) => {
    done = resolve;
  });
  const noop = app.task({
    name: 'noop',
    input: z.object({ a: z.number() }),
    run: async (input) => {
      left -= 1;
      if (left === 0) done();
      return input;
    },
  });
  const steps = chain(...Array.from({ length: STEPS }, () => noop));
  await app.worker({ concurrency: CONCURRENCY, repairInterval: false }).start();
  const before = process.cpuUsage();
  for (let sent = 0; sent < jobs; sent += 1000) {
    const length = 1000 / (asChains ? STEPS : 1);
    await Promise.all(Array.from({ length }, () => (asChains ? steps : noop).delay({ a: 1 })));
  }
  await ended;
  const { user, system } = process.cpuUsage(before);
  const us = (user + system) / jobs;
  metrics?.stop();
  await app.close();
  for (const api of [context, propagation, trace]) api.disable();
  return us;
}

/** Every span is made, and dropped when it has ended: exporting it is the SDK's affair. */
function startSdk() {
  const processor = { onStart() {}, onEnd() {}, forceFlush: async () => {}, shutdown: async () => {} };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [processor] }));
}

const kinds = [
  ['neither', {}],
  ['metrics', { isMeasured: true }],
  ['tracing without an SDK', { isTraced: true }],
  ['tracing', { isTraced: true, hasSdk: true }],
];
const rows = [false, true].flatMap((asChains) =>
  kinds.map(([name, options]) => [`${asChains ? 'steps' : 'calls'}, ${name}`, { ...options, asChains }]),
);
const figures = rows.map(() => []);
for (let round = 0; round <= rounds; round += 1) {
  for (const [index, [, options]] of rows.entries()) {
    const figure = await microseconds(options);
    if (round > 0) figures[index].push(figure); // the first round warms up
  }
}
const number = (value) => value.toFixed(1).padStart(9);
console.log(
  `${'median'.padStart(45)}${'min'.padStart(10)}${'max'.padStart(10)}   of ${rounds} rounds, ${jobs} jobs each`,
);
for (const [index, [name]] of rows.entries()) {
  const sorted = figures[index].toSorted((a, b) => a - b);
  const line = [sorted[sorted.length >> 1], sorted[0], sorted.at(-1)].map(number).join(' ');
  console.log(`${name.padEnd(36)}${line}   µs a job`);
}
