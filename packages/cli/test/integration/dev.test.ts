import { describe, expect, test } from 'vitest';
import { documents, project } from '../support/project.js';

describe('umbel dev', { timeout: 300_000 }, () => {
  test('runs calls that are typed, on a store in memory, until it is told to end', async () => {
    const { start } = project();
    const dev = start(['dev', './tasks.ts'], {
      env: { UMBEL_URL: '' },
      input: 'add {"a":1,"b":2}\nadd {"a":1,}\nad\nadd {"a":"1","b":1}\nadd {"a":-1,"b":1}\n',
    });
    await dev.prints(/result +[0-9A-Za-z]{21} +\{"sum":3\}/);
    await dev.prints(/failed +add .*RangeError: negative: -1/);
    await dev.prints('line 1, column 8');
    await dev.prints('There is no task "ad". Did you mean add?');
    await dev.prints('input.a: Invalid input: expected number, received string');
    expect(dev.stderr()).toMatch(/store +in memory, lost when this process ends\n +worker +dev/);
    // The dashboard shows what is in memory.
    const [address = ''] = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/.exec(dev.stdout()) ?? [];
    const url = new URL(address);
    const headers = { authorization: `Bearer ${url.searchParams.get('token')}` };
    const answer = await fetch(`${url.origin}/api/list/jobs?q=state:completed`, { headers });
    expect(await answer.json()).toMatchObject({ items: [{ task: 'add', state: 'completed' }] });
    dev.child.kill('SIGINT');
    expect((await dev.ended).code).toBe(0);
  });

  test('takes the store that is named', async () => {
    const { start, app } = project();
    const dev = start(['dev', './tasks.ts', '--log-format', 'json', '--no-dashboard'], { input: '' });
    await dev.prints('"event":"ready"');
    expect(await (await app().send('add', { a: 1, b: 1 })).get({ timeout: '50s' })).toEqual({ sum: 2 });
    dev.child.kill('SIGTERM');
    const { code, stdout } = await dev.ended;
    expect(code).toBe(0);
    expect(stdout).not.toContain('"event":"dashboard"');
    expect(documents(stdout.replace('loaded\n', '')).at(-1)).toMatchObject({
      event: 'end',
      counts: { completed: 1 },
    });
  });
});
