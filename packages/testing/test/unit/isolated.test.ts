import { createApp } from '@umbel/core';
import { memory, testApp } from '@umbel/testing';
import { expect, test } from 'vitest';

test('an isolated task runs in the process of its test, and can be faked', async () => {
  const app = createApp({ name: 'tested', connection: memory() });
  const isolate = new URL('./absent.mjs', import.meta.url);
  const here = app.task({ name: 'here', isolate, run: async () => process.pid });
  const t = await testApp(app);
  try {
    expect(await t.run(here)).toBe(process.pid);
    t.fake(here, () => 7);
    expect(await t.run(here)).toBe(7);
  } finally {
    await t.close();
  }
});
