/** The server of the recipe "Progress on a web page" goes on, whoever asks and whoever leaves. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesOf, Snippets } from '../support/snippets.js';

/** Asks as browsers do, and prints what became of it; the server runs in the same process, which a rejection would end. */
const VISITS = `
import { once } from 'node:events';
import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { app } from './app.js';
import { film, server } from './page.js';

await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address() as AddressInfo;
const at = (id: string) => \`http://127.0.0.1:\${port}/progress/\${id}\`;

console.log('unknown:', (await fetch(at('none'))).status);
console.log('no id:', (await fetch(at(''))).status);

/** Leaves when the first bytes are there, and waits until the server has noticed. */
async function leave(id: string): Promise<void> {
  const noticed = new Promise((resolve) => {
    server.once('request', (_, response) => response.once('close', resolve));
  });
  const request = get(at(id));
  const [response] = await once(request, 'response');
  response.on('error', () => {}); // it is cut off here
  request.destroy();
  await noticed;
}

const waiting = await film.delay();
await leave(waiting.id); // no worker has started it
const forgotten = await film.delay();
const asked = await fetch(at(forgotten.id));
await forgotten.revoke();
await app.worker().start();
console.log('revoked:', (await asked.text()).trim().split('\\n').at(-1));
const running = await film.delay();
await leave(running.id);
console.log('goes on:', await running.get(), await waiting.get());
console.log('still answers:', (await (await fetch(at(running.id))).text()).includes('completed'));
server.close();
await app.close();
`;

const files = filesOf('docs/recipes.md');
files.set('visits.ts', VISITS);
const snippets = new Snippets('progress-page', files);
beforeAll(() => snippets.write());
afterAll(() => snippets.remove());

test('the recipe survives an unknown id and browsers that leave', () => {
  expect(snippets.compile()).toBe('');
  const { stdout, status, stderr } = snippets.node('dist/visits.js');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.trim().split('\n')).toEqual([
    'unknown: 404',
    'no id: 404',
    'revoked: data: revoked',
    'goes on: film.mp4 film.mp4',
    'still answers: true',
  ]);
});
