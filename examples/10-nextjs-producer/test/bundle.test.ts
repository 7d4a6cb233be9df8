/** What a bundler puts into the website that imports the route. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type OutputChunk, rolldown } from 'rolldown';
import { expect, onTestFinished, test } from 'vitest';

const file = (path: string) => fileURLToPath(new URL(`../dist/${path}`, import.meta.url));

/** What stands in the result of the handler's library and nowhere else. */
const MARKER = 'by-image-library';

async function bundle(entry: string): Promise<OutputChunk> {
  const build = await rolldown({ input: file(entry), platform: 'node', logLevel: 'silent' });
  const { output } = await build.generate({ format: 'esm', codeSplitting: false });
  await build.close();
  return output[0];
}

test('the bundle of the route has the contract, and no code of the worker', async () => {
  const { code, moduleIds } = await bundle('app/api/thumbnails/route.js');
  expect(code.includes('thumbnail.make')).toBe(true);
  expect(moduleIds).toContain(file('contracts.js'));
  expect(code.includes(MARKER)).toBe(false);
  expect(moduleIds.filter((id) => [file('worker.js'), file('image-library.js')].includes(id))).toEqual([]);

  const folder = mkdtempSync(join(tmpdir(), 'umbel-bundle-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'route.mjs'), code);
  writeFileSync(join(folder, 'server.mjs'), SERVER);
  const { UMBEL_URL: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'server.mjs')], { env });
  expect(stdout).toBe('400 202 waiting\n');
});

test('that of the worker has both', async () => {
  const { code, moduleIds } = await bundle('worker.js');
  expect(code.includes(MARKER)).toBe(true);
  expect(moduleIds).toContain(file('image-library.js'));
});

/** Calls the bundled route as Next.js does. */
const SERVER = `
  import { GET, POST } from './route.mjs';
  const url = 'http://localhost:3000/api/thumbnails';
  const post = (body) => POST(new Request(url, { method: 'POST', body: JSON.stringify(body) }));
  const refused = await post({ file: 'cat.gif' });
  const accepted = await post({ file: 'cat.png' });
  const { id } = await accepted.json();
  const { state } = await (await GET(new Request(url + '?id=' + id))).json();
  console.log(refused.status, accepted.status, state);
`;
