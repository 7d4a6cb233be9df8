import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findDocuments, MAX_BYTES, readText } from '../src/documents.js';
import { folderOf } from './support/program.js';

test('documents are found in all folders, sorted, and nothing else is', async () => {
  const folder = folderOf({
    'b/README': '',
    'b/deep/er/guide.rst': '',
    'a.MD': '',
    'a.txt': '',
    'notes.markdown': '',
    'code.ts': '',
    'README.pdf': '',
    '.hidden/x.md': '',
  });
  symlinkSync(join(folder, 'b'), join(folder, 'linked'));
  symlinkSync(join(folder, 'a.txt'), join(folder, 'linked.txt'));
  mkdirSync(join(folder, 'folder.md'));
  const { paths } = await findDocuments(folder);
  expect(paths).toEqual(['a.MD', 'a.txt', 'b/README', 'b/deep/er/guide.rst', 'notes.markdown']);
});

test('documents of more than a mebibyte are set apart', async () => {
  const folder = folderOf({ 'fits.md': 'a'.repeat(MAX_BYTES), 'large.md': 'a'.repeat(MAX_BYTES + 1) });
  expect(await findDocuments(folder)).toEqual({ paths: ['fits.md'], tooLarge: ['large.md'] });
});

test('a document that has vanished cannot be read', async () => {
  await expect(readText(folderOf(), 'docs/x.md')).rejects.toThrow(
    'Cannot read docs/x.md: no such file or directory (ENOENT)',
  );
});

test('a folder in the place of a document cannot be read', async () => {
  await expect(readText(folderOf({ 'x.md/y': '' }), 'x.md')).rejects.toThrow(
    'Cannot read x.md: illegal operation on a directory (EISDIR)',
  );
});

test('bytes that are not UTF-8 cannot be read', async () => {
  await expect(readText(folderOf({ 'x.txt': Uint8Array.of(0x63, 0xe9) }), 'x.txt')).rejects.toThrow(
    'Cannot read x.txt: it is not UTF-8 text',
  );
});
