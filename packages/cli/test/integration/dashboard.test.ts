/** `umbel dashboard`: on this machine only, and only with the token. */
import { expect, test } from 'vitest';
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

test('says which port is used, and what to install', { timeout: 300_000 }, async () => {
  const { start, umbel, name } = project();
  const first = start(['dashboard', '--name', name, '--port', '0', '--read-only', '--json']);
  await first.prints('"url"');
  const { port } = new URL(URL_LINE.exec(first.stdout())?.[0] ?? '');
  const second = await umbel(['dashboard', '--name', name, '--port', port]);
  expect(second.code).toBe(2);
  expect(second.stderr).toContain(`cannot listen on port ${port}`);
  first.child.kill('SIGTERM');
  expect((await first.ended).code).toBe(0);
});
