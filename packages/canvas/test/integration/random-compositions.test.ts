/** Random compositions, run for real and compared with what a small interpreter says they give. */
import { createHash } from 'node:crypto';
import { type CanvasExpression, chain, chord, type GroupExpression, group } from '@umbel/canvas';
import { type Signature, TaskFailedError } from '@umbel/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

type Mixed = Signature<string, unknown, unknown>;

const POISON = 13;

/** A short text that depends on everything it is given. */
function mix(salt: number, value: unknown): string {
  if (salt === POISON) throw new Error('poison');
  return createHash('sha1')
    .update(JSON.stringify([salt, value]))
    .digest('base64url')
    .slice(0, 6);
}

/** What an expression gives; throws if a step that it needs fails. */
function interpret(expression: CanvasExpression, input: unknown): unknown {
  switch (expression.kind) {
    case 'task': {
      const bound = expression.input as { salt: number; value?: unknown };
      return mix(bound.salt, expression.immutable ? bound.value : input);
    }
    case 'chain':
      return expression.steps.reduce((value, step) => interpret(step, value), input);
    case 'chord':
      return interpret(expression.body, interpret(expression.header, input));
    case 'group': {
      const values = membersOf(expression).map((member) => interpret(member, input));
      return expression.keys === undefined
        ? values
        : Object.fromEntries(expression.keys.map((key, index) => [key, values[index]]));
    }
    default:
      throw new RangeError(`no ${expression.kind} is made here`);
  }
}

function membersOf({ members }: GroupExpression): readonly CanvasExpression[] {
  if ('read' in members) throw new RangeError('no members are read lazily here');
  return members;
}

function countTasks(expression: CanvasExpression): number {
  const sum = (parts: readonly CanvasExpression[]) =>
    parts.reduce((total, part) => total + countTasks(part), 0);
  switch (expression.kind) {
    case 'task':
      return 1;
    case 'chain':
      return sum(expression.steps);
    case 'chord':
      return sum([expression.header, expression.body]);
    case 'group':
      return sum(membersOf(expression));
    default:
      throw new RangeError(`no ${expression.kind} is made here`);
  }
}

onEveryEngine('a random composition', (engine) => {
  const numRuns = Number(process.env.UMBEL_RANDOM_RUNS ?? (engine.name === 'memory' ? 150 : 40));

  test('gives what its expression says, in order, with every step run once', {
    timeout: 120_000,
  }, async () => {
    const app = engine.app();
    const started: string[] = [];
    const mixer = app.task({
      name: 'mix',
      input: z.object({ salt: z.number(), value: z.unknown() }),
      run: async ({ salt, value }, { id }) => {
        started.push(id);
        return mix(salt, value);
      },
    });
    await app.worker({ concurrency: 20 }).start();

    const salt = fc.integer({ min: 0, max: 99 });
    const { composition } = fc.letrec<{ composition: Mixed }>((tie) => {
      const part = tie('composition');
      return {
        composition: fc.oneof(
          { depthSize: 'medium', withCrossShrink: true, maxDepth: 8 },
          salt.map((n) => mixer.into('value', { salt: n })),
          salt.map((n) => mixer.si({ salt: n, value: 'fixed' })),
          fc.array(part, { minLength: 1, maxLength: 5 }).map((steps) => chain.of(steps)),
          fc.array(part, { maxLength: 5 }).map((members) => group(members)),
          fc
            .dictionary(fc.constantFrom('a', 'b', 'z', '0'), part, { maxKeys: 3 })
            .map((members) => group(members)),
          fc.tuple(fc.array(part, { maxLength: 3 }), part).map(([header, body]) => chord(header, body)),
        ),
      };
    });

    await fc.assert(
      fc.asyncProperty(composition, fc.string(), async (signature, input) => {
        const expression = signature.toJSON() as CanvasExpression;
        const expected = outcomeOf(() => interpret(expression, input));
        // A workflow of immutable calls alone refuses an input.
        const sent = await signature.delay(input).catch(() => signature.delay());
        const actual = await sent.get({ timeout: '20s' }).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        );
        // Siblings of a failed step of an earlier run may still be starting.
        const own = started.filter((id) => id.startsWith(sent.id));
        expect(new Set(own).size).toBe(own.length);
        if ('value' in expected) {
          expect(actual).toEqual(expected);
          expect(own).toHaveLength(countTasks(expression));
        } else {
          expect(actual).toMatchObject({ error: expect.any(TaskFailedError) });
          expect(actual).toMatchObject({ error: { task: 'mix', cause: { message: 'poison' } } });
        }
      }),
      { numRuns },
    );
  });
});

function outcomeOf(run: () => unknown): { value: unknown } | { error: unknown } {
  try {
    return { value: run() };
  } catch (error) {
    return { error };
  }
}
