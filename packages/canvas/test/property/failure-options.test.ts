/** W16: BullMQ parks a parent for ever whose child fails, unless the child says what is to happen. */
import { createApp } from '@umbel/core';
import { type JobNode, nodesOf, SENDER } from '@umbel/core/internal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type FlowEntry, flowEntries } from '../../../core/src/store/add.js';
import type { CanvasExpression } from '../../src/expression.js';
import { normalize } from '../../src/normalize.js';
import { planRun } from '../../src/plan.js';
import type { AnySignature } from '../support/places.js';
import { build, type NodeTask, specs } from '../support/random-specs.js';

/** As BullMQ stores what a failure does to the parent: fails it, continues it, is ignored, is forgotten. */
const CHOICES = ['fpof', 'cpof', 'idof', 'rdof'] as const;

const app = createApp({ name: 'planned', connection: 'redis://127.0.0.1:1' });
const payload = z.object({ signalBy: z.string(), signalKey: z.string() });
const signals = {
  decided: app.signal({ name: 'decided', payload }),
  silent: app.signal({ name: 'silent', payload }),
};
const node = Object.assign(app.task({ name: 'node', input: z.unknown(), run: async () => null }), {
  signals,
});

/** As much of a queue as a job that is not stored needs. */
const queueOf = (name: string) =>
  ({ name, qualifiedName: `q:${name}`, toKey: (key: string) => `q:${name}:${key}`, opts: {} }) as never;

/** Every job that has a parent, in a tree or added later. */
function* childrenIn(root: JobNode): Generator<FlowEntry> {
  yield* flowEntries(queueOf, 'run', [root]).slice(1);
  yield* addedLater(root);
}

function* addedLater(tree: JobNode): Generator<FlowEntry> {
  const { expand, callbacks = {}, children = [] } = tree;
  for (const each of expand === undefined ? [] : nodesOf(expand)) {
    yield* flowEntries(queueOf, 'run', [each], { above: { id: 'above', queue: 'q:queue' } });
    yield* addedLater(each);
  }
  for (const callback of Object.values(callbacks).flat()) yield* childrenIn(callback);
  for (const child of children) yield* addedLater(child);
}

test('every job with a parent says, in exactly one way, what its failure does to it', () => {
  let seen = 0;
  fc.assert(
    fc.property(specs, (spec) => {
      const signature = build(spec, node as unknown as NodeTask, new Map<number, AnySignature>());
      const expression = normalize(signature.toJSON() as CanvasExpression);
      if (expression.kind === 'task') return;
      const { root } = planRun(expression, (node as unknown as Record<symbol, never>)[SENDER] as never);
      for (const { jobData, parentKeyOpts } of childrenIn(root)) {
        const { parent } = jobData;
        expect(parentKeyOpts.parentKey).toBeDefined();
        seen += 1;
        expect(CHOICES.filter((choice) => parent?.[choice] === true)).toHaveLength(1);
      }
    }),
    { numRuns: 500 },
  );
  expect(seen).toBeGreaterThan(1000);
});
