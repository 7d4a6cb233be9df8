/** What other programs have stored reaches logs and messages escaped. */
import { expect, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import { plantFailure, plantJobs } from '../support/planting.js';

const soon = { timeout: '50s' } as const;
const NAME = 'import\nerror: all is lost\u001b[2J\u009b31m\u202e';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u202e]/;

onEveryEngine('text that was planted', (engine) => {
  function open() {
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const app = engine.app({ logger: { info: log, warn: log, error: log } });
    const task = app.task({
      name: 'task',
      run: async (): Promise<void> => {
        throw new Error('bad');
      },
    });
    return { app, task, lines };
  }

  test('as the name of a foreign job stays on one line of the log', async () => {
    const { app, lines } = open();
    await plantJobs(engine.bareQueue('default'), NAME, [{ other: 1 }]);
    await plantJobs(engine.bareQueue('default'), 'x'.repeat(100_000), [{ other: 1 }]);
    await app.worker().start();
    await vi.waitFor(() => expect(lines.join()).toContain('jobs of another program'), { timeout: 10_000 });
    const line = lines.find((each) => each.includes('jobs of another program')) ?? '';
    expect(line).not.toMatch(OBEYED);
    expect(line).toContain('import\\nerror: all is lost\\u001b[2J\\u009b31m\\u202e');
    for (const each of lines) expect(each.length).toBeLessThan(1000);
  });

  test('as the name of a job of an unknown task, and of an internal one, is escaped in the error', async () => {
    const { app } = open();
    await plantJobs(engine.bareQueue('default'), NAME, [{ umbel: 1 }]);
    await plantJobs(engine.bareQueue('umbel'), NAME, [{ umbel: 1 }]);
    await app.worker().start();
    const error = await app
      .result('planted-0')
      .get(soon)
      .catch((thrown: Error) => thrown);
    expect((error as Error).message).not.toMatch(OBEYED);
    expect((error as Error).message).toContain('\\u001b[2J');
    expect(String((error as Error).cause)).not.toMatch(OBEYED);
  });

  test('as a failure is escaped, but for its line breaks', async () => {
    const { app, task } = open();
    await app.worker().start();
    const run = await task.delay();
    await expect(run.get(soon)).rejects.toThrow('bad');
    const planted = { name: 'E\u001b[1m', message: `one\ntwo\u001b[2J`, stack: 'at\u009b2J' };
    await plantFailure(engine.bareQueue('default'), run.id, planted);
    const error = (await run.get(soon).catch((thrown: Error) => thrown)) as Error & { cause: Error };
    const { cause } = error;
    for (const text of [error.message, cause.message, cause.name, cause.stack ?? ''])
      expect(text.replaceAll('\n', '')).not.toMatch(OBEYED);
    expect(cause.message).toBe('one\ntwo\\u001b[2J');
  });
});
