/**
 * One chord takes half a second, most of it for code that Node has not compiled yet, in either system. Workers live longer
 * than that, so each runs some chords before the one that is measured.
 */
const WARM_UP = { chords: 3, members: 1000 };

/** What each system runs of a group whose results are summed by one more task. */
export const chordSystems = {
  async umbel({ adapter, url, size, meter, phase }) {
    const { chord } = await import('@umbel/canvas');
    const own = adapter.open(url);
    await own.start();
    const sumOf = async (count) => {
      const members = Array.from({ length: count }, (_, n) => own.one.si(n));
      return (await chord(members, own.sum).delay()).get();
    };
    await warmUp(sumOf);
    await meter.slowCommands();
    await phase('run', async () => expect(await sumOf(size), size));
    await meter.slowest();
    await own.close();
  },
  async bullmq({ adapter, url, size, meter, phase }) {
    const own = adapter.open(url);
    await own.start();
    const flows = await own.flows();
    const sumOf = (count) => flows.run(adapter.chordOf(own.name, count));
    await warmUp(sumOf);
    await meter.slowCommands();
    await phase('run', async () => expect(await sumOf(size), size));
    await meter.slowest();
    await own.close();
  },
};

async function warmUp(sumOf) {
  for (let chord = 0; chord < WARM_UP.chords; chord += 1)
    expect(await sumOf(WARM_UP.members), WARM_UP.members);
}

function expect(value, size) {
  if (value !== (size * (size - 1)) / 2) throw new Error(`wrong sum: ${value}`);
}
