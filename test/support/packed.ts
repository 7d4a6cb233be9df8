/** The packages as they are published, packed once for all tests. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { root } from './snippets.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The files of the packed packages, by their names. */
    packed: Record<string, string>;
  }
}

/** The folders of the packages, by their names. */
const PACKAGES = {
  '@umbel/core': 'core',
  '@umbel/canvas': 'canvas',
  '@umbel/testing': 'testing',
  '@umbel/dashboard': 'dashboard',
  umbel: 'cli',
};

/** For `globalSetup`. */
export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-tarballs-'));
  const directories = Object.values(PACKAGES).map((directory) => join(root, 'packages', directory));
  const args = ['pack', ...directories, '--ignore-scripts', '--silent'];
  const { stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8', timeout: 180_000 });
  const files = stdout.trim().split('\n');
  const names = Object.keys(PACKAGES);
  if (files.length !== names.length || !files.every((file) => file.endsWith('.tgz'))) {
    throw new Error(`The packages were not packed: ${stdout}${stderr}`);
  }
  const paths = names.map((name, index) => [name, join(folder, files[index] ?? '')]);
  project.provide('packed', Object.fromEntries(paths) as Record<string, string>);
  return () => rmSync(folder, { recursive: true, force: true });
}

/** The path of each packed package, by its name. */
export function packedFiles(): ReadonlyMap<string, string> {
  return new Map(Object.entries(inject('packed')));
}
