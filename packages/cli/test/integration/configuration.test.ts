import { describe, expect, test } from 'vitest';
import { project } from '../support/project.js';

describe('configuration', { timeout: 300_000 }, () => {
  test('a flag wins over the environment, that over the file, that over the default', async () => {
    const { start, write, umbel } = project();
    write(
      'umbel.config.ts',
      "import { defineConfig } from 'umbel';\nconst count: number = 3;\nexport default defineConfig({ app: './tasks.ts', worker: { concurrency: count, loglevel: 'debug', untilEmpty: true } });\n",
    );
    const shown = async (args: string[], env: Record<string, string> = {}) =>
      (await umbel(['worker', ...args], { env })).stderr;
    expect(await shown([])).toContain('default (3)');
    expect(await shown([], { UMBEL_CONCURRENCY: '4', UMBEL_QUEUES: '' })).toContain('default (4), slow (4)');
    expect(await shown(['-c', '5'], { UMBEL_CONCURRENCY: '4' })).toContain('default (5)');
    const running = start(['worker'], { env: { UMBEL_UNTIL_EMPTY: 'false', UMBEL_LOGLEVEL: 'info' } });
    await running.prints(/ ready$/m);
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });

  test('the store of the file is used where the environment names none', async () => {
    const { umbel, write, name } = project();
    write('umbel.config.json', JSON.stringify({ name, connection: 'redis://127.0.0.1:1' }));
    expect((await umbel(['result', 'x'])).code).toBe(3);
    const ended = await umbel(['result', 'x'], { env: { UMBEL_URL: '' } });
    expect(ended.code).toBe(69);
  });

  test.each([
    ['{ "app": ./tasks.ts }', 'line 1, column 10'],
    ['{ "wroker": {} }', 'Unknown key "wroker".'],
    ['{ "worker": { "speed": 1 } }', '"worker" has no flag "speed".'],
    ['{ "worker": { "concurrency": "fast" } }', `"concurrency": Expected a number`],
    ['{ "worker": { "logFormat": "xml" } }', '"logFormat" must be one of pretty, json.'],
    ['{ "worker": { "untilEmpty": "yes" } }', '"untilEmpty" must be true or false.'],
    ['[]', 'Its default export is not an object.'],
  ])('%s is refused', async (text, why) => {
    const { umbel, write } = project();
    write('umbel.config.json', text);
    const { code, stderr } = await umbel(['worker', './tasks.ts']);
    expect(stderr).toContain(why);
    expect(code).toBe(2);
  });
});
