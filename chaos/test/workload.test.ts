import { describe, expect, test } from 'vitest';
import { Random } from '../src/random.js';
import { Workload, worldsOf } from '../src/workload.js';

describe('the workload of a seed', () => {
  const drawn = (seed: number, count = 60) => {
    const workload = new Workload({ seed, poisonOneIn: 10 });
    return Array.from({ length: count }, (_, index) => workload.at(index));
  };

  test('is the same every time, in whatever order it is asked for', () => {
    const workload = new Workload({ seed: 5, poisonOneIn: 10 });
    const backwards = Array.from({ length: 60 }, (_, index) => workload.at(59 - index));
    expect(backwards.toReversed()).toEqual(drawn(5));
  });

  test('is another for another seed', () => {
    expect(drawn(6, 1)).not.toEqual(drawn(5, 1));
  });

  test('has something to run in every world, and poison where it is wanted', () => {
    const workflows = drawn(5);
    expect(workflows.filter(({ kind }) => kind === 'poison').length).toBeGreaterThan(0);
    for (const workflow of workflows) {
      if (workflow.kind !== 'random') continue;
      const worlds = worldsOf(workflow);
      expect(worlds.length).toBeGreaterThan(0);
      expect(worlds.every(({ runs }) => runs.length > 0)).toBe(true);
    }
  });

  test('has no callbacks where they are not wanted', () => {
    const workload = new Workload({ seed: 5, withoutCallbacks: true });
    const specs = Array.from({ length: 50 }, (_, index) => JSON.stringify(workload.at(index)));
    expect(specs.filter((spec) => spec.includes('"linked"'))).toEqual([]);
  });
});

test('what is drawn for one purpose does not depend on what is drawn for another', () => {
  const busy = new Random(1);
  busy.next();
  busy.for('kills').next();
  expect(busy.for('plan').next()).toBe(new Random(1).for('plan').next());
});
