/** What each system runs of a group whose results are summed by one more task. */
export const chordSystems = {
  async umbel({ adapter, url, size, meter, phase }) {
    const { chord } = await import('@umbel/canvas');
    const own = adapter.open(url);
    await own.start();
    await chord([own.one.si(0), own.one.si(1)], own.sum)
      .delay()
      .then((run) => run.get()); // connects
    await meter.slowCommands();
    await phase('run', async () => {
      const members = Array.from({ length: size }, (_, n) => own.one.si(n));
      const run = await chord(members, own.sum).delay();
      expect(await run.get(), size);
    });
    await meter.slowest();
    await own.close();
  },
  async bullmq({ adapter, url, size, meter, phase }) {
    const own = adapter.open(url);
    await own.start();
    const flows = await own.flows();
    await flows.run(adapter.chordOf(own.name, 2));
    await meter.slowCommands();
    await phase('run', async () => {
      expect(await flows.run(adapter.chordOf(own.name, size)), size);
    });
    await meter.slowest();
    await own.close();
  },
};

function expect(value, size) {
  if (value !== (size * (size - 1)) / 2) throw new Error(`wrong sum: ${value}`);
}
