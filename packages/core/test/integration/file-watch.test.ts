/** Which files a worker that watches them is told of. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WatchedFiles } from '../../src/worker/options.js';
import { watchFiles, watchPlan } from '../../src/worker/supervisor/file-watch.js';

let folder: string;
let told: string[][];
let stop: () => void;
const warnings: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'umbel-watch-'));
  told = [];
  stop = () => {};
});

afterEach(() => {
  stop();
  rmSync(folder, { recursive: true, force: true });
  expect(warnings).toEqual([]);
});

function write(...path: string[]): void {
  const file = join(folder, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, `${Math.random()}`);
}

function watching(files: WatchedFiles, program = join(folder, 'main.js')): void {
  const changed = (paths: readonly string[]) =>
    told.push(paths.map((path) => relative(folder, join(process.cwd(), path))));
  stop = watchFiles(watchPlan(files, program, folder), changed, (warning) => warnings.push(warning));
}

const all = () => told.flat();

test('modules, at any depth, and no others', async () => {
  for (const name of ['node_modules', 'dist', '.git', 'src']) write(name, 'a.js');
  watching('modules');
  write('node_modules', 'a.js');
  write('dist', 'a.js');
  write('.git', 'a.js');
  write('data.json');
  write('src', '.hidden.js');
  write('src', 'a.js');
  await expect.poll(all).toEqual(['src/a.js']);
  write('src', 'b.mts');
  rmSync(join(folder, 'src', 'a.js'));
  await expect.poll(() => told).toEqual([['src/a.js'], ['src/a.js', 'src/b.mts']]);
});

test('built ones, if the program is one', async () => {
  write('dist', 'a.js');
  watching('modules', join(folder, 'dist', 'main.js'));
  write('dist', 'a.js');
  await expect.poll(all).toEqual(['dist/a.js']);
});

test('those of folders that come later', async () => {
  watching('modules');
  write('new', 'deep', 'a.ts');
  await expect.poll(all).toEqual(['new/deep/a.ts']);
  write('new', 'deep', 'b.ts');
  await expect.poll(all).toEqual(['new/deep/a.ts', 'new/deep/b.ts']);
});

test('of given paths: all files of a folder, and a file that another one is put in the place of', async () => {
  write('texts', 'a.txt');
  write('.env');
  write('other.js');
  watching([join(folder, 'texts'), join(folder, '.env')]);
  write('other.js');
  write('texts', 'node_modules', 'a.txt');
  write('texts', 'a.txt');
  await expect.poll(all).toEqual(['texts/a.txt']);
  write('.env.new');
  renameSync(join(folder, '.env.new'), join(folder, '.env'));
  await expect.poll(all).toEqual(['texts/a.txt', '.env']);
  write('.env');
  await expect.poll(all).toEqual(['texts/a.txt', '.env', '.env']);
});

test('those beside the program, if it is not below the working directory', () => {
  const { roots } = watchPlan('modules', '/srv/app/worker.js', '/home/me');
  expect(roots).toEqual(['/srv/app']);
});
