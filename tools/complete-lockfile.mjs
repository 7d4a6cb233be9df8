// Completes package-lock.json after `npm install` from a registry that holds the packages of one platform only.
//
// Native packages list one optional package for each platform. npm leaves those it cannot find out of the lock, and
// `npm ci` then refuses the lock everywhere. Each missing one is added by name, version and platform, which is all
// that npm needs to skip it here and to install it where it fits.
import { readFileSync, writeFileSync } from 'node:fs';

const OS = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openharmony: 'openharmony',
  sunos: 'sunos',
  netbsd: 'netbsd',
  openbsd: 'openbsd',
  aix: 'aix',
  win32: 'win32',
  windows: 'win32',
  wasm32: 'wasi',
  wasi: 'wasi',
};
const CPU = {
  64: 'x64',
  arm: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  loong64: 'loong64',
  mips64el: 'mips64el',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  wasm32: 'wasm32',
  x64: 'x64',
};

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
let added = 0;
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    if (isLocked(path, name)) continue;
    const tokens = name.split(/[^a-z0-9]+/);
    const os = tokens.map((token) => OS[token]).filter(Boolean);
    const cpu = tokens.map((token) => CPU[token]).filter(Boolean);
    if (os.length === 0) throw new Error(`${name}: no platform in its name`);
    lock.packages[`node_modules/${name}`] = {
      version: range.replace(/^[~^]/, ''),
      ...(cpu.length > 0 && { cpu: [...new Set(cpu)] }),
      ...(dev && { dev: true }),
      optional: true,
      os: [...new Set(os)],
    };
    added += 1;
  }
}
const [root, ...others] = Object.entries(lock.packages);
lock.packages = Object.fromEntries([root, ...others.sort(([a], [b]) => (a < b ? -1 : 1))]);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} packages of other platforms added to package-lock.json`);

/** Whether a package at `path` would find `name`, in its own node_modules or one above. */
function isLocked(path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`]) return true;
    if (at === '') return false;
  }
}
