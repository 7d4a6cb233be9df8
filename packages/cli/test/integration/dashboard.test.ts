/** `umbel dashboard`: on this machine only, and only with the token. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import {
  callCommands,
  deadLetterCommands,
  jobCommands,
  listCommands,
  QUEUE_COMMANDS,
  SCHEDULE_COMMANDS,
  SIGNAL_COMMANDS,
  TASK_COMMANDS,
  WORKER_COMMANDS,
} from '../../../dashboard/page/src/parts/commands.js';
import { project } from '../support/project.js';

const URL_LINE = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32}/;

test('serves the page of an app until Ctrl-C, with the token of its URL', { timeout: 300_000 }, async () => {
  const { start, name, app } = project();
  const sent = await app().send('add', { a: 1, b: 2 });
  const command = start(['dashboard', '--name', name, '--port', '0']);
  await command.prints(URL_LINE);
  const url = new URL(URL_LINE.exec(command.stdout())?.[0] ?? '');
  for (const path of ['/', '/api/app', '/api/list/jobs']) {
    expect((await fetch(`${url.origin}${path}`)).status).toBe(401);
  }
  const opened = await fetch(url, { redirect: 'manual' });
  expect(opened.status).toBe(302);
  expect(opened.headers.get('location')).toBe('/');
  const headers = { cookie: opened.headers.get('set-cookie')?.split(';')[0] ?? '' };
  const page = await fetch(`${url.origin}/jobs`, { headers });
  expect(await page.text()).toContain('<div id="page">');
  const list = await fetch(`${url.origin}/api/list/jobs?q=task:add`, { headers });
  expect(await list.json()).toMatchObject({ items: [{ id: sent.id, state: 'waiting' }] });
  const action = { id: sent.id, terminate: false };
  const revoked = await fetch(`${url.origin}/api/actions/job.revoke`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(action),
  });
  expect(await revoked.json()).toEqual({ isRevoked: true });
  await command.prints(`dashboard: job.revoke ${sent.id}: done`);
  command.child.kill('SIGINT');
  expect((await command.ended).code).toBe(0);
});

test('says which port is used', { timeout: 300_000 }, async () => {
  const { start, umbel, name } = project();
  const first = start(['dashboard', '--name', name, '--port', '0', '--read-only', '--json']);
  await first.prints('"url"');
  const { port } = new URL(URL_LINE.exec(first.stdout())?.[0] ?? '');
  const second = await umbel(['dashboard', '--name', name, '--port', port]);
  expect(second.code).toBe(2);
  expect(second.stderr).toContain(`cannot listen on port ${port}`);
  const dev = await umbel(['dev', './tasks.mjs', '--dashboard', port], { env: { UMBEL_URL: '' } });
  expect(dev.code).toBe(2);
  expect(dev.stderr).toContain(`cannot listen on port ${port}`);
  first.child.kill('SIGTERM');
  expect((await first.ended).code).toBe(0);
});

test('what the pages copy are commands that run, and code that runs', { timeout: 300_000 }, async () => {
  const { umbel, name, app: open } = project();
  const app = open();
  app.task({ name: 'add', run: async () => null });
  await app.worker().start();
  const sent = await app.send('add', undefined, { tags: ["it's"] });
  const all = [
    listCommands('jobs', `state:waiting task:add queue:default tag:"it's" after:2h`),
    listCommands('runs', `state:failed tag:"it's"`),
    jobCommands(sent.id),
    deadLetterCommands({ task: 'add', error: 'RangeError', queue: 'default' }),
    callCommands('add', undefined),
    ...[QUEUE_COMMANDS, WORKER_COMMANDS, SCHEDULE_COMMANDS, SIGNAL_COMMANDS, TASK_COMMANDS],
  ];
  for (const { cli, code } of all) {
    // As a shell reads it.
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${cli}`], { encoding: 'utf8' });
    const [program, ...args] = words.trimEnd().split('\n');
    expect(program).toBe('umbel');
    const { code: exit, stderr } = await umbel([...args, '--name', name]);
    expect({ cli, exit, stderr }).toMatchObject({ exit: 0 });
    await new Function('app', `return (async () => { ${code} })()`)(app);
  }
});

/** Makes packages of that name look as if they were not installed. */
const HIDE = (name: string) => `const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...more) {
  if (!request.startsWith('${name}')) return resolve.call(this, request, ...more);
  throw Object.assign(new Error('hidden by a test'), { code: 'MODULE_NOT_FOUND' });
};
`;

test('says what to install, and `dev` does without it unless it is asked for', {
  timeout: 300_000,
}, async () => {
  const { start, umbel, name, write } = project();
  write('hide.cjs', HIDE('@umbel/dashboard'));
  const hidden = { NODE_OPTIONS: '--require ./hide.cjs' };
  const env = { ...hidden, UMBEL_URL: '' };
  for (const args of [
    ['dashboard', '--name', name],
    ['dev', './tasks.mjs', '--dashboard'],
  ]) {
    const { code, stderr } = await umbel(args, { env: args[0] === 'dev' ? env : hidden });
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toContain('The dashboard is not installed.');
    expect(stderr).toContain('npm install --save-dev @umbel/dashboard.');
  }
  const dev = start(['dev', './tasks.mjs'], { env, input: 'add {"a":1,"b":2}\n' });
  await dev.prints('{"sum":3}');
  dev.child.kill('SIGINT');
  const { code, stdout, stderr } = await dev.ended;
  expect(code).toBe(0);
  expect(stdout + stderr).not.toMatch(/dashboard|127\.0\.0\.1/);

  write('hide.cjs', HIDE('@umbel/testing'));
  const storeless = await umbel(['dev', './tasks.mjs'], { env });
  expect(storeless.code).toBe(2);
  expect(storeless.stderr).toContain('npm install --save-dev @umbel/testing, or pass --connection.');
});
