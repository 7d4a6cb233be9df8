// Writes the help texts of the command line into docs/cli.md, between the marks that name their command.
// With --check it writes nothing, and fails if the page is not as it would be.
import { readFileSync, writeFileSync } from 'node:fs';
import { helpPages } from '../packages/cli/dist/program.js';

const file = new URL('../docs/cli.md', import.meta.url);
const before = readFileSync(file, 'utf8');
const pages = await helpPages();
const missing = [...pages.keys()].filter((name) => !before.includes(`<!-- help ${name} -->`));
if (missing.length > 0) throw new Error(`docs/cli.md has no place for the help of: ${missing.join(', ')}`);
const after = before.replaceAll(/<!-- help (\S+) -->[\s\S]*?<!-- end -->/g, (_, name) => {
  const page = pages.get(name);
  if (page === undefined) throw new Error(`docs/cli.md has the help of "${name}", which is no command`);
  return `<!-- help ${name} -->\n\n\`\`\`text\n${page}\n\`\`\`\n\n<!-- end -->`;
});
if (!process.argv.includes('--check')) writeFileSync(file, after);
else if (before !== after) {
  console.error('docs/cli.md is not up to date: node tools/cli-docs.mjs');
  process.exitCode = 1;
}
