import { expect, test } from 'vitest';
import { keepCompiledCode } from '../../src/compile-cache.js';

/** The folders that Node is told to keep compiled code in. */
function foldersFor(env: Readonly<Record<string, string>>): string[] {
  const folders: string[] = [];
  keepCompiledCode({ enableCompileCache: (folder) => folders.push(folder) }, env, '/home/me');
  return folders;
}

test('compiled code is kept in a folder of the user, unless the environment says otherwise', () => {
  expect(foldersFor({})).toEqual(['/home/me/.cache/umbel/compiled']);
  expect(foldersFor({ XDG_CACHE_HOME: '/var/me' })).toEqual(['/var/me/umbel/compiled']);
  expect(foldersFor({ NODE_COMPILE_CACHE: '/tmp/x' })).toEqual([]);
  expect(foldersFor({ NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual([]);
});

test('nothing is kept by a version of Node that cannot', () => {
  expect(() => keepCompiledCode({}, {}, '/home/me')).not.toThrow();
});
