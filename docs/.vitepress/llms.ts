/** `llms.txt` and `llms-full.txt`, in the form of llmstxt.org: the list of all pages, and all pages as one text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { entries } from './api-reference.js';
import { commands, mirrored } from './generated.js';
import { stages } from './pages.js';

const SUMMARY = `# Umbel

> Typed tasks and workflows for TypeScript, on BullMQ. A task is defined once with a schema, called anywhere with its
> types, and composed with others into workflows that the compiler checks; workers run them over Redis, tests in memory.

Packages: \`@umbel/core\` (apps, tasks, workers, results), \`@umbel/canvas\` (chain, group, chord and the rest),
\`@umbel/testing\` (the engine in memory and in virtual time), \`umbel\` (the command line). ESM, Node 20.19 or newer.
`;

/** The list of all pages, each with its address. */
export function llmsText(addressOf: (page: string) => string): string {
  const sections = stages.map(({ text, pages }) => {
    const lines = pages.map(({ text, page, about }) => `- [${text}](${addressOf(page)}): ${about}`);
    return `## ${text}\n\n${lines.join('\n')}\n`;
  });
  return [SUMMARY, ...sections].join('\n');
}

/** All pages, in order. */
export function llmsFullText(docs: string): string {
  const pages = stages.flatMap(({ pages }) => pages.map(({ page }) => page));
  return [SUMMARY, ...pages.map((page) => readFileSync(join(docs, `${page}.md`), 'utf8').trimEnd())].join(
    '\n\n---\n\n',
  );
}

/** Where the content of a page is in the repository. */
export function repositoryFile(page: string): string {
  const [copied] = Object.entries(mirrored).find(([, to]) => to === `${page}.md`) ?? [];
  const entry = Object.values(entries).find(({ page: own }) => page === `generated/${own}`);
  const built = `${page}.md` === commands.page ? commands.program : entry?.file;
  const source = built?.replace('/dist/', '/src/').replace(/(\.d\.ts|\.js)$/, '.ts');
  return copied ?? source ?? `docs/${page}.md`;
}
