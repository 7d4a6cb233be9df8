import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { LANGUAGE_ALIASES, WITHOUT_COLORS } from './code.js';
import { drawDiagrams } from './diagrams.js';
import { writeGenerated } from './generated.js';
import { rewriteLinks } from './links.js';
import { llmsFullText, llmsText, repositoryFile } from './llms.js';
import { stages } from './pages.js';
import { slug } from './slug.js';

/** Where the repository's files can be seen, such as `https://host/owner/umbel/blob/main`. Default: nowhere. */
const sourceUrl = process.env.UMBEL_DOCS_SOURCE_URL;
const base = process.env.UMBEL_DOCS_BASE ?? '/';
const docs = fileURLToPath(new URL('..', import.meta.url));

await writeGenerated(join(docs, '..')); // before the pages are looked for

export default defineConfig({
  title: 'Umbel',
  description: 'Typed tasks and workflows for TypeScript, on BullMQ',
  base: base as `/${string}/`,
  cleanUrls: true,
  lastUpdated: false,
  appearance: true,
  markdown: {
    anchor: { slugify: slug },
    config(markdown) {
      rewriteLinks(markdown, sourceUrl);
      drawDiagrams(markdown);
    },
    languageAlias: LANGUAGE_ALIASES,
    ...(process.env.UMBEL_DOCS_COLORS === '0' && WITHOUT_COLORS),
  },
  vite: { build: { chunkSizeWarningLimit: 4000 } },
  /** Every page as the Markdown that it is, for programs that read. */
  buildEnd({ outDir }) {
    for (const { page } of stages.flatMap(({ pages }) => pages)) {
      const file = join(outDir, `${page}.md`);
      mkdirSync(dirname(file), { recursive: true });
      copyFileSync(join(docs, `${page}.md`), file);
    }
    writeFileSync(
      join(outDir, 'llms.txt'),
      llmsText((page) => `${base}${page}.md`),
    );
    writeFileSync(join(outDir, 'llms-full.txt'), llmsFullText(docs));
    const isUsual = outDir === join(docs, '.vitepress/dist'); // and no test's
    if (isUsual) writeFileSync(join(docs, '../llms.txt'), llmsText(repositoryFile));
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    externalLinkIcon: false,
    nav: [
      { text: 'First steps', link: '/first-steps' },
      { text: 'Recipes', link: '/recipes' },
      { text: 'Operations', link: '/operations' },
      { text: 'Reference', link: '/generated/api-core' },
    ],
    sidebar: stages.map(({ text, pages }) => ({
      text,
      items: pages.map(({ text, page }) => ({ text, link: `/${page}` })),
    })),
  },
});
