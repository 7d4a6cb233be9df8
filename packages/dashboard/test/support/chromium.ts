/** Finds the browser of the tests, and installs it where that is possible. In CI it is never missing: the tests fail then. */
import { execFileSync, spawnSync } from 'node:child_process';

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];

/** Returns the path of a browser; undefined, with one line on the console that says what is skipped, if there is none. */
export function findChromium(): string | undefined {
  const program = process.env.CHROMIUM_PATH ?? installed() ?? install();
  if (program !== undefined) return program;
  const what = 'The browser tests of the dashboard need Chromium: install it, or set CHROMIUM_PATH';
  if (process.env.CI) throw new Error(what);
  console.warn(`${what}. They are skipped.`);
  return undefined;
}

function installed(): string | undefined {
  const name = PROGRAMS.find((program) => spawnSync(program, ['--version']).status === 0);
  return name && execFileSync('which', [name], { encoding: 'utf8' }).trim();
}

function install(): string | undefined {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) return undefined;
  console.log('chromium is not installed: installing it with apt-get …');
  const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
  try {
    execFileSync('apt-get', ['update'], options);
    execFileSync('apt-get', ['install', '--yes', '--no-install-recommends', 'chromium'], options);
  } catch {
    // The look-up below decides.
  }
  return installed();
}
