import { chain, chord, group, map } from '@umbel/canvas';
import type { FailureRecord } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import type { AnySignature } from '../../support/places.js';
import { failure, soon, start, value } from '../../support/running.js';

onEveryEngine('callbacks', (engine) => {
  const places: Record<string, (step: AnySignature, plain: AnySignature) => AnySignature> = {
    'a call': (step) => step,
    'a step of a chain': (step, plain) => chain(step, plain),
    'the last step of a chain': (step, plain) => chain(plain, step),
    'a member of a group': (step, plain) => group([plain, step]),
    'a member of a group after a step': (step, plain) => chain(plain, group([step, plain])),
    'a body': (step, plain) => chord([plain, plain], step),
    'each of a map': (step, plain) => chain(group([plain]), map(step)) as AnySignature,
  };

  test.each(Object.entries(places))('24. link and finally on %s: once, with the result', async (_, build) => {
    const { app, echo, note, notes } = await start(engine);
    const seven = app.task({ name: 'seven', input: z.unknown(), run: async () => 7 });
    const step = seven.link(note).linkError(note.tag('wrong')).finally(note.tag('end'));
    await value(build(step as AnySignature, echo).delay(1));
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(expect.arrayContaining([7, { ok: true, value: 7 }]));
  });

  test.each(Object.entries(places))(
    '24. linkError and finally on %s: once, with a record',
    async (_, build) => {
      const { app, echo, note, notes } = await start(engine);
      const bad = app.task({
        name: 'bad',
        input: z.unknown(),
        retry: { attempts: 3, delay: 1 },
        run: async (): Promise<number> => {
          throw Object.assign(new TypeError('no good'), { code: 'E_BAD' });
        },
      });
      const step = bad.link(note.tag('wrong')).linkError(note).finally(note);
      await failure(build(step as AnySignature, echo).delay(1));
      await vi.waitFor(() => expect(notes).toHaveLength(2));
      const error = {
        task: 'bad',
        jobId: expect.any(String),
        attempts: 3,
        error: { name: 'TypeError', message: 'no good', code: 'E_BAD' },
      } satisfies FailureRecord;
      expect(notes).toEqual(expect.arrayContaining([error, { ok: false, error }]));
    },
  );

  test('24. callbacks are tasks with retries of their own, and their failure changes no result', async () => {
    const { double, flaky, fail, count, note, notes } = await start(engine);
    const run = await chain(double.link(flaky.link(note)).link(fail.linkError(note)), double).delay(1);
    expect(await run.get(soon)).toBe(4);
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(expect.arrayContaining([2, expect.objectContaining({ task: 'fail' })]));
    expect([count('flaky'), count('fail')]).toEqual([3, 1]);
    expect(await run.state()).toBe('completed');
  });

  test('24. a callback may be any composition, and bind what it needs', async () => {
    const { double, add, note, notes, sum } = await start(engine);
    const told = chain(add.into('x', { y: 1 }), group([double, double]), sum, note);
    expect(await value(chain(double, double).link(told).link(note.si('fixed')).delay(1))).toBe(4);
    await vi.waitFor(() => expect(notes).toHaveLength(2));
    expect(notes).toEqual(expect.arrayContaining([20, 'fixed']));
  });

  test('25. labels reach every node, header, body and callback, survive retries and replacement', async () => {
    const { app } = await start(engine);
    const seen: { id: string; tags: readonly string[] }[] = [];
    const see = app.task({
      name: 'see',
      input: z.unknown(),
      retry: { attempts: 2, delay: 1 },
      run: async (given, { id, tags, attempt, replace }): Promise<unknown> => {
        if (given === 'retry' && attempt === 1) throw new Error('again');
        seen.push({ id, tags });
        return given === 'replace' ? replace(group([see, chain(see, see)]), 'new') : given;
      },
    });
    const workflow = chain(
      see.si('retry').tag('own'),
      chord([see, group([see])], see.si('replace').link(see)),
      map(see) as never,
    ).finally(chain(see, see));
    const tagged = workflow.tag('canvas', 'canvas').tag('more');
    await (await tagged.applyAsync(undefined, { tags: ['sent'] })).get(soon);
    // The first step, the header, the body with what replaces it and its callback, two items, the callback of the whole.
    await vi.waitFor(() => expect(seen).toHaveLength(1 + 2 + 1 + 3 + 1 + 2 + 2));
    for (const { id, tags } of seen) {
      expect(tags, id).toEqual(expect.arrayContaining(['canvas', 'more', 'sent']));
      expect(tags.filter((tag) => tag === 'canvas')).toHaveLength(1);
    }
    expect(seen.filter(({ tags }) => tags.includes('own'))).toHaveLength(1);
    expect(workflow.toJSON()).not.toHaveProperty('options');
  });

  test('25. what bears a label can be searched and revoked by it', async () => {
    const { app, double } = await start(engine);
    const late = chain(double, double).tag('night');
    const runs = await Promise.all([
      late.applyAsync(1, { countdown: '1h' }),
      late.applyAsync(2, { countdown: '1h' }),
    ]);
    const other = await chain(double, double).tag('day').applyAsync(1, { countdown: '1h' });
    const found: string[] = [];
    for await (const { id } of app.find({ tag: 'night' })) found.push(id);
    expect(found.toSorted()).toEqual(runs.map(({ id }) => id).toSorted());
    expect(await app.revoke({ tag: 'night' })).toBe(4);
    for (const run of runs) await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(await other.state()).toBe('waiting-children');
  });
});
