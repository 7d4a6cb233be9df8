/** The compiler's text for typical mistakes is part of the product: it must name the wrong argument and both sides. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../types/mistakes/', import.meta.url));
const compiler = fileURLToPath(new URL('../../../../node_modules/typescript/bin/tsc', import.meta.url));

test('each typical mistake is an error at the wrong argument, naming both sides', async () => {
  const { stdout } = spawnSync(process.execPath, [compiler, '-p', folder, '--checkers', '1'], {
    cwd: folder,
    encoding: 'utf8',
  });
  await expect(stdout).toMatchFileSnapshot(`${folder}messages.txt`);
});
