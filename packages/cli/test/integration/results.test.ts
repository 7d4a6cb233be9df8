import { describe, expect, test } from 'vitest';
import { documents, project } from '../support/project.js';

describe('umbel result, run and graph', { timeout: 300_000 }, () => {
  test('tell where a run stands, before and after', async () => {
    const { umbel, app, name } = project();
    const sent = await umbel(['run', './tasks.mjs#pipeline', '-i', '{"a":1,"b":2}', '--json']);
    expect(documents(sent.stdout)).toEqual([{ version: 1, kind: 'run', id: expect.any(String) }]);
    const id = String(documents(sent.stdout)[0]?.id);

    const early = await umbel(['result', id, '--name', name]);
    expect(early).toMatchObject({ code: 75, stdout: '' });
    expect(early.stderr).toContain('Its state is waiting-children.');
    const told = await umbel(['result', id, '-A', './tasks.mjs', '--json']);
    expect(told.code).toBe(75);
    expect(documents(told.stdout)).toMatchObject([{ kind: 'result', id, state: 'waiting-children' }]);

    await umbel(['worker', './tasks.mjs', '--until-empty', '-l', 'silent']);
    expect(await umbel(['result', id, '-A', './tasks.mjs'])).toEqual({
      code: 0,
      stdout: '6\n',
      stderr: 'loaded\n',
    });
    const done = await umbel(['result', id, '-A', './tasks.mjs', '--json', '--wait']);
    expect(documents(done.stdout)).toMatchObject([{ kind: 'result', id, state: 'completed', result: 6 }]);

    const live = await umbel(['graph', id, '-A', './tasks.mjs', '--json']);
    expect(documents(live.stdout)).toMatchObject([
      {
        version: 1,
        kind: 'graph',
        id,
        nodes: [
          { task: 'add', state: 'completed' },
          { task: 'double', state: 'completed' },
        ],
      },
    ]);
    const failed = await app().send('add', { a: -1, b: 1 });
    await umbel(['worker', './tasks.mjs', '--until-empty', '-l', 'silent']);
    const failure = await umbel(['result', failed.id, '-A', './tasks.mjs', '--json']);
    expect(failure.code).toBe(1);
    expect(documents(failure.stdout)).toMatchObject([
      {
        state: 'failed',
        task: 'add',
        attempts: 1,
        finishedAt: expect.any(String),
        error: { message: 'negative: -1' },
      },
    ]);
  });

  test('a graph is drawn without sending anything', async () => {
    const { umbel, app } = project();
    const mermaid = await umbel(['graph', './tasks.mjs#pipeline']);
    expect(mermaid).toMatchObject({ code: 0, stdout: expect.stringMatching(/^flowchart LR\n.*n0 --> n1/s) });
    const dot = await umbel(['graph', './tasks.mjs#pair', '-f', 'dot']);
    expect(dot.stdout).toMatch(/^digraph/);
    expect(
      await app()
        .queue('default')
        .counts()
        .catch(() => 'no queue'),
    ).not.toMatchObject({ waiting: 1 });
  });

  test.each([
    [['result', 'nobody', '-A', './tasks.mjs'], 3, 'There is no job "nobody".'],
    [['graph', 'nobody', '-A', './tasks.mjs'], 3, 'There is no job "nobody".'],
    [['run', './tasks.mjs'], 4, 'It exports pair, pipeline.'],
    [['run', './tasks.mjs#app'], 4, 'Export "app" of tasks.mjs cannot be sent.'],
    [['run', './tasks.mjs#pipeline', '-i', '{"a":"x"}'], 2, 'input.a'],
  ])('%j exits with %i', async (args, code, why) => {
    const { umbel } = project();
    const ended = await umbel(args);
    expect(ended.stderr).toContain(why);
    expect(ended.code).toBe(code);
  });
});
