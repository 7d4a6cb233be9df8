/** Processes whose clock is wrong, by libfaketime: `apt-get install faketime`. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['/usr/lib', '/usr/lib64', '/usr/local/lib'];
/** The one for programs with several threads, as Node is. */
const FILE = 'faketime/libfaketimeMT.so.1';

/** The library, or undefined if it is not installed. */
export function findLibfaketime(): string | undefined {
  const candidates = FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) => [
    join(folder, FILE),
    ...readdirSync(folder).map((machine) => join(folder, machine, FILE)),
  ]);
  return candidates.find((file) => existsSync(file));
}

/** The environment of a process whose clock is wrong; timers of the process run as they should. */
export function wrongClock(skewMs: number): Record<string, string> {
  const library = findLibfaketime();
  if (library === undefined) throw new Error('Wrong clocks need libfaketime: apt-get install faketime');
  const sign = skewMs < 0 ? '-' : '+';
  return {
    LD_PRELOAD: library,
    FAKETIME: `${sign}${Math.abs(skewMs) / 1000}s`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
