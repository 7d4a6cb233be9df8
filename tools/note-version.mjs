/** After `changeset version`: notes the new version where it stands besides the package.json of each package. */
import { readFileSync, writeFileSync } from 'node:fs';

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const write = (path, text) => writeFileSync(new URL(`../${path}`, import.meta.url), text);

const { version } = JSON.parse(read('packages/core/package.json'));

const source = 'packages/core/src/base/version.ts';
write(source, read(source).replace(/'[^']+'/, `'${version}'`));

// The command line takes the other packages from its project: those of its own version, or newer ones.
const cli = 'packages/cli/package.json';
const manifest = JSON.parse(read(cli));
for (const name of Object.keys(manifest.peerDependencies))
  manifest.peerDependencies[name] = `>=${version} <${Number(version.split('.')[0]) + 1}.0.0`;
write(cli, `${JSON.stringify(manifest, null, 2)}\n`);
