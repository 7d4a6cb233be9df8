/** Signals from the command line, with the app's code and without it. */
import { waitFor } from '@umbel/canvas';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { documents, project } from '../support/project.js';

test('umbel signal lists the open waits, and decides one', async () => {
  const own = project();
  const app = own.app({ logger: { info() {}, warn() {}, error() {} } });
  const approved = app.signal({ name: 'approved', payload: z.object({ ok: z.boolean() }) });
  await app.worker({ handleSignals: false }).start();
  const run = await waitFor(approved, { key: { text: 'exp-17' }, timeout: '7d' }).delay();
  await expect.poll(async () => (await app.signals.waiting()).items.length).toBe(1);
  const umbel = (...args: string[]) => own.umbel(['signal', ...args, '--name', own.name]);

  const listed = await umbel('list');
  expect([listed.code, listed.stdout]).toEqual([0, expect.stringMatching(/approved\s+exp-17/)]);
  const [json] = documents((await umbel('list', 'approved', '--json')).stdout);
  expect(json).toMatchObject({ waits: [{ key: 'exp-17', runId: run.id, schema: { required: ['ok'] } }] });

  const sent = await umbel('send', 'approved', 'exp-17', '--payload', '{"ok":true}');
  expect([sent.code, sent.stdout]).toEqual([0, 'accepted\n']);
  expect(await run.get({ timeout: '50s' })).toEqual({ ok: true });
  const again = await umbel('send', 'approved', 'exp-17', '--payload', '{"ok":false}', '--json');
  expect([again.code, documents(again.stdout)]).toMatchObject([1, [{ answer: 'duplicate' }]]);
  const wrong = await umbel('send', 'approved', 'exp-17', '--payload', '{ok');
  expect(wrong.code).toBe(2);
}, 120_000);
