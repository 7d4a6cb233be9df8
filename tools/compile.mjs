/**
 * Compiles the package in the current folder, from `src` into `dist`, or into the folder given as argument.
 *
 * TypeScript decides by `.tsbuildinfo` what it writes and does not look at the files: after a build that was cut short,
 * declarations can be missing while each later build says that all is done. So a build with missing files starts anew,
 * and ends with an error if files are still missing. Other packages are not compiled with it, as `tsc -b` would do:
 * builds of several packages run at once, in their order.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const out = process.argv[2] ?? 'dist';

function missing() {
  return readdirSync('src', { recursive: true })
    .filter((file) => /(?<!\.d)\.tsx?$/.test(file))
    .flatMap((file) => ['.js', '.d.ts'].map((end) => join(out, file.replace(/\.tsx?$/, end))))
    .filter((file) => !existsSync(file));
}

if (missing().length > 0) rmSync('dist/.tsbuildinfo', { force: true });
const { status } = spawnSync('tsc', ['-p', '.'], { stdio: 'inherit', shell: process.platform === 'win32' });
if (status !== 0) process.exit(status ?? 1);
const left = missing();
if (left.length > 0) {
  console.error(
    `tsc has ended without an error, and has not written ${left.length} files, such as ${left[0]}`,
  );
  process.exit(1);
}
