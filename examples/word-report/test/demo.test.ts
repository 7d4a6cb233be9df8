import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { demo, folderOf, start } from './support/program.js';

const DOCUMENTS = {
  'README.md': '# Umbels\n\nUmbels and more umbels: [docs](https://example.com/docs), https://example.org.\n',
  'docs/guide.txt': 'A guide to umbels. See https://example.com/docs.\n',
  'docs/empty.md': '',
};

test('the demo prints a table, writes both files, and says how many tasks ran', async () => {
  const folder = folderOf(DOCUMENTS);
  const out = join(folder, 'out');
  const { code, stdout, stderr } = await demo([folder, '--out', out]);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: `Counting the words and links of 3 documents in ${folder} …\n`,
  });
  expect(stdout.split('\n').slice(0, 5)).toEqual([
    'Document        Words  Distinct  Links',
    'README.md           6         4      2',
    'docs/guide.txt      5         5      1',
    'docs/empty.md       0         0      0',
    'All 3              11         8      2',
  ]);
  expect(stdout).toMatch(/\n15 tasks in \d+\.\d+ s on the memory engine\.\n$/);
  expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual({
    folder,
    totals: { documents: 3, words: 11, distinctWords: 8, links: 2 },
    topWords: [
      { word: 'umbels', count: 4, documents: 2 },
      { word: 'docs', count: 1, documents: 1 },
      { word: 'guide', count: 1, documents: 1 },
      { word: 'see', count: 1, documents: 1 },
    ],
    topSites: [
      { host: 'example.com', links: 1 },
      { host: 'example.org', links: 1 },
    ],
    documents: [
      { path: 'README.md', words: 6, distinctWords: 4, links: 2 },
      { path: 'docs/guide.txt', words: 5, distinctWords: 5, links: 1 },
      { path: 'docs/empty.md', words: 0, distinctWords: 0, links: 0 },
    ],
    links: [
      { url: 'https://example.com/docs', documents: 2 },
      { url: 'https://example.org', documents: 1 },
    ],
  });
});

test('the page escapes names and texts, and loads nothing', async () => {
  const folder = folderOf({
    '<script>alert(1)<\\script>.md': 'https://example.com/?a=\'onclick=alert(1)&lt;b "quoted"',
    '"onload="x.md': '<script>alert(2)</script>',
  });
  const out = join(folder, '<img src=x>');
  expect((await demo([folder, '--out', out])).code).toBe(0);
  const page = readFileSync(join(out, 'report.html'), 'utf8');
  expect(page).toContain('&#60;script&#62;alert(1)&#60;\\script&#62;.md');
  expect(page).toContain('&#34;onload=&#34;x.md');
  expect(page).toContain('href="https://example.com/?a=&#39;onclick=alert(1)&#38;lt;b"');
  expect(page).not.toMatch(/<script|<img|<link|<iframe|\ssrc=|url\(|@import/i);
});

test('a file name that would steer the terminal is printed with its control characters spelled out', async () => {
  const { stdout } = await demo([folderOf({ 'red\x1b[31m.md': 'x' }), '--out', folderOf()]);
  expect(stdout).toContain('red\\u{1b}[31m.md');
  expect(stdout).not.toContain('\x1b');
});

test('documents beyond the limit, and those that are too large, are left out and named', async () => {
  const folder = folderOf({
    'a.md': 'one',
    'b.md': 'two',
    'c.md': 'three',
    'huge.md': 'a'.repeat(2 ** 20 + 1),
  });
  const { code, stdout, stderr } = await demo([folder, '--limit', '2', '--out', folderOf()]);
  expect(code).toBe(0);
  expect(stderr).toContain('Left out huge.md: larger than 1024 KiB.\n');
  expect(stderr).toContain('Left out the last 1 document: --limit is 2.\n');
  expect(stdout).toMatch(/All 2 .*\n11 tasks in /s);
});

test('on Redis, a worker in another process takes part and ends with code 0', async () => {
  const env = { UMBEL_URL: inject('redisUrl') };
  const worker = start('worker', [], env);
  await worker.wrote('The worker takes tasks.');
  const folder = folderOf(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}.md`, `word ${i}`])));
  const { code, stdout } = await demo([folder, '--out', join(folder, 'out')], env);
  expect(code).toBe(0);
  const [, here, elsewhere] =
    /\n163 tasks in .*: (\d+) ran here, (\d+) in other workers\.\n$/.exec(stdout) ?? [];
  expect(Number(here) + Number(elsewhere)).toBe(163);
  worker.kill('SIGTERM');
  const ended = await worker.ended;
  expect(ended.code).toBe(0);
  const [, ran] = /Stopped after (\d+) tasks?\./.exec(ended.stdout) ?? [];
  expect(Number(elsewhere)).toBeGreaterThan(0);
  expect(Number(ran)).toBeGreaterThanOrEqual(Number(elsewhere)); // more, if the store held tasks before
});

test('a worker without a store that it shares ends with code 2', async () => {
  const { code, stderr } = await start('worker', []).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/^UMBEL_URL is not set/);
});

test('an unreadable document ends the demo with code 1 and its name', async () => {
  const folder = folderOf({ ...DOCUMENTS, 'docs/latin-1.txt': Uint8Array.of(0x63, 0x61, 0x66, 0xe9) });
  const out = join(folder, 'out');
  const { code, stdout, stderr } = await demo([folder, '--out', out]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.split('\n').slice(1)).toEqual([
    'Cannot read docs/latin-1.txt: it is not UTF-8 text',
    'The task document.read failed, so no report was written. Correct or remove the document, then run again.',
    '',
  ]);
  expect(existsSync(out)).toBe(false);
});

test('a report that cannot be written ends the demo with code 1', async () => {
  const folder = folderOf({ 'a.md': 'word', taken: '' });
  const { code, stderr } = await demo([folder, '--out', join(folder, 'taken')]);
  expect(code).toBe(1);
  expect(stderr).toContain(`Cannot write to ${join(folder, 'taken')}: file already exists (EEXIST)\n`);
});

test('--verbose adds the stack of the task that failed', async () => {
  const { stderr } = await demo([
    folderOf({ 'a.md': Uint8Array.of(0xff) }),
    '--out',
    folderOf(),
    '--verbose',
  ]);
  expect(stderr).toMatch(/TaskFailedError: .*\n\s+at .*readText/s);
});

test.each([
  [
    'a path that does not exist',
    ['/does/not/exist'],
    'Cannot open /does/not/exist: no such file or directory',
  ],
  ['a path that is not a folder', [process.execPath], `${process.execPath} is not a folder.`],
  ['an unknown option', ['--fast'], "Unknown option '--fast'"],
  [
    'a limit that is not a number',
    ['--limit', 'many'],
    'Expected --limit to be a whole number from 1, got "many".',
  ],
  ['more than one folder', ['a', 'b'], 'Expected one folder, got 2.'],
])('%s ends the demo with code 2', async (_, args, message) => {
  const { code, stdout, stderr } = await demo(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(3);
});

test('a folder without documents ends the demo with code 2', async () => {
  const folder = folderOf({ 'code.ts': '' });
  const { code, stderr } = await demo([folder]);
  expect(code).toBe(2);
  expect(stderr).toContain(`${folder} holds no documents`);
});

test('an UMBEL_URL of another kind ends the demo with code 2', async () => {
  const { code, stderr } = await demo([folderOf(DOCUMENTS)], { UMBEL_URL: 'http://example.com' });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^Expected `connection` to be a redis:.*\n.*UMBEL_URL.*\n$/);
});

test('a Redis that cannot be reached ends the demo with code 69', async () => {
  const startedAt = performance.now();
  const { code, stderr } = await demo([folderOf(DOCUMENTS)], {
    UMBEL_URL: `redis://127.0.0.1:${await closedPort()}`,
  });
  expect(code).toBe(69);
  expect(stderr).toMatch(/The store did not answer within \d+ s \(connect ECONNREFUSED .*\n.*UMBEL_URL.*\n$/);
  expect(performance.now() - startedAt).toBeLessThan(50_000);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a run at once with code %i and without a report', async (signal, expected) => {
  const text = Array.from({ length: 10_000 }, (_, i) => `word${i}`).join(' ');
  const folder = folderOf(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}.md`, text])));
  const out = join(folder, 'out');
  const program = start('main', [folder, '--out', out]);
  await program.wrote('Counting');
  const startedAt = performance.now();
  program.kill(signal);
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
  expect(stderr).toMatch(/\nStopped after \d+ of 403 tasks\. No report was written\.\n$/);
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  expect(existsSync(out)).toBe(false);
});

test('--help tells the options and exits with code 0', async () => {
  const { code, stdout } = await demo(['--help']);
  expect(code).toBe(0);
  expect(stdout).toContain('--limit <n>');
});

/** A port that was free a moment ago. */
function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 1));
    });
  });
}
