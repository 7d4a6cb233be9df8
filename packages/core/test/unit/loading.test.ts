import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { codeOf } from '../support/sources.js';

const SRC = 'packages/core/src';

/** The files that are loaded with one, as far as nothing is called: types are gone then, and `import()` is later. */
function loadedWith(file: string): Set<string> {
  const loaded = new Set<string>();
  const next = [file];
  for (let one = next.pop(); one !== undefined; one = next.pop()) {
    if (loaded.has(one)) continue;
    loaded.add(one);
    for (const [, names = '', from = ''] of codeOf(one).matchAll(
      /^(?:import|export)\s([^;'"]*?)\sfrom\s'(\.[^']+)'/gm,
    )) {
      const isType = names.startsWith('type ') || isAllTypes(names);
      if (!isType) next.push(join(dirname(one), from.replace(/\.js$/, '.ts')));
    }
  }
  return loaded;
}

/** `{ type A, type B }` */
function isAllTypes(names: string): boolean {
  const list = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  const each = list
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return each !== undefined && each.length > 0 && each.every((name) => name.startsWith('type '));
}

test('a program that only sends loads nothing that runs jobs', () => {
  const loaded = loadedWith(`${SRC}/index.ts`);
  expect(loaded).toContain(`${SRC}/client/sender.ts`); // it has followed the imports
  const ofWorkers = ['worker/executor.ts', 'worker/worker.ts', 'worker/queues.ts'];
  const more = ['store/consumer.ts', 'worker/supervisor/supervisor.ts'];
  for (const file of [...ofWorkers, ...more]) {
    expect(loadedWith(`${SRC}/${file}`).size).toBeGreaterThan(1); // it is there
    expect(loaded).not.toContain(`${SRC}/${file}`);
  }
});
