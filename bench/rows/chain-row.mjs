/** The row of chains of `steps`, one after the other: each waits for the result of the one before. */
export function chainRow(steps, times, more = {}) {
  return {
    title: `chain of ${steps}`,
    unit: 'step',
    size: { full: steps * times, quick: steps * Math.max(1, Math.round(times / 4)), ...more.size },
    targets: [{ of: 'run', against: 'bullmq', times: steps > 10 ? 1.1 : 1 }],
    systems: {
      async umbel({ adapter, url, size, phase }) {
        const { chain } = await import('@umbel/canvas');
        const own = adapter.open(url);
        await own.start();
        const { increment } = own;
        const run = async (count) => {
          const all = Array.from({ length: count }, (_, index) =>
            index === 0 ? increment.s({ n: 0 }) : increment,
          );
          const { n } = await (await chain(...all).delay()).get();
          if (n !== count) throw new Error(`wrong result: ${n}`);
        };
        await run(2);
        await phase('run', () => repeat(size / steps, () => run(steps)));
        await own.close();
      },
      async bullmq({ adapter, url, size, phase }) {
        const own = adapter.open(url);
        await own.start();
        const flows = await own.flows();
        const run = async (count) => {
          const { n } = await flows.run(adapter.chainOf(own.name, count));
          if (n !== count) throw new Error(`wrong result: ${n}`);
        };
        await run(2);
        await phase('run', () => repeat(size / steps, () => run(steps)));
        await own.close();
      },
    },
    celery: (size) => ['chain', steps, size / steps],
  };
}

async function repeat(times, run) {
  for (let time = 0; time < times; time += 1) await run();
}
