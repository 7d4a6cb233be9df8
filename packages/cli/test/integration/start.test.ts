/** What commands do before they do their work. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, inject, onTestFinished, test } from 'vitest';
import { documents, project } from '../support/project.js';

/** A way to the store of the tests, which counts the connections. */
async function countedStore() {
  const { hostname, port } = new URL(inject('redisUrl'));
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const store = connect(Number(port), hostname);
    socket.pipe(store).pipe(socket);
    for (const end of [socket, store]) end.on('error', () => {});
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}${new URL(inject('redisUrl')).pathname}`;
  return { url, connections: () => connections };
}

test.each([
  [['jobs', 'list'], 'jobs', 'jobs'],
  [['inspect', 'queues'], 'queues', 'queues'],
])(
  'umbel %s without code finds every queue, on one connection',
  { timeout: 60_000 },
  async (args, kind, list) => {
    const own = project();
    const app = own.app({
      queues: ['default', 'mail', 'rare'],
      logger: { info() {}, warn() {}, error() {} },
    });
    await app.send('greet', {}, { queue: 'mail' });
    await app.send('greet', {}, { queue: 'rare' });
    const store = await countedStore();
    const { code, stdout } = await own.umbel([...args, '--name', own.name, '-b', store.url, '--json']);
    expect(code).toBe(0);
    const [document] = documents(stdout);
    expect(document).toMatchObject({ kind });
    const found = document?.[list] as { queue?: string; name?: string }[];
    expect(found.map(({ queue, name }) => queue ?? name)).toEqual(expect.arrayContaining(['mail', 'rare']));
    expect(store.connections()).toBe(1);
  },
);

test('--version loads nothing of the commands', async () => {
  const own = project({ built: true });
  own.write(
    'loaded.mjs',
    `import { register } from 'node:module';
register('data:text/javascript,' + encodeURIComponent(\`
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    if (found.url.startsWith('file:')) console.error('loads ' + found.url);
    return found;
  }\`));`,
  );
  const env = { NODE_OPTIONS: `--import=${own.folder}/loaded.mjs` };
  const { code, stdout, stderr } = await own.umbel(['--version'], { env });
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/)]);
  const files = stderr
    .split('\n')
    .filter((line) => line.startsWith('loads ') && !line.endsWith('loaded.mjs'));
  expect(files.map((line) => line.replace(/^.*\//, ''))).toEqual(['main.js', 'start.js']);
});
