/** Links of the pages as the site needs them: in the repository they lead to files, on the site to pages. */
import { posix } from 'node:path';
import type { MarkdownRenderer } from 'vitepress';
import { mirrored } from './generated.js';

/** Files outside of `docs/` that are pages of the site too. */
const outside: Readonly<Record<string, string>> = { ...mirrored, 'README.md': 'index.md' };

/**
 * Where a link of a page leads on the site; undefined: to a file that is no page, and there is no address of the source.
 * @param page the file of the page, from the root of the repository
 */
export function siteLink(page: string, href: string, sourceUrl: string | undefined): string | undefined {
  if (/^([a-z]+:|#|\/)/.test(href)) return href;
  const [path = '', anchor] = href.split('#', 2);
  const target = posix.join(posix.dirname(page), path);
  const known = target.startsWith('docs/') && target.endsWith('.md') ? target.slice(5) : outside[target];
  if (known === undefined) return sourceUrl && `${sourceUrl}/${target}`;
  // What the README says at an anchor is not on the site's first page.
  const isReadme = target === 'README.md';
  return `/${known}${anchor === undefined || isReadme ? '' : `#${anchor}`}`;
}

/** Rewrites the links of a page. One that leads nowhere on the site becomes text with its title. */
export function rewriteLinks(markdown: MarkdownRenderer, sourceUrl: string | undefined): void {
  markdown.core.ruler.push('site-links', ({ tokens, env }) => {
    const page = `docs/${(env as { relativePath: string }).relativePath}`;
    for (const { children } of tokens) {
      let isDropped = false;
      for (const token of children ?? []) {
        if (token.type === 'link_open') {
          const link = siteLink(page, decodeURI(token.attrGet('href') ?? ''), sourceUrl);
          isDropped = link === undefined;
          if (link !== undefined) token.attrSet('href', link);
          else token.attrs = (token.attrs ?? []).filter(([name]) => name !== 'href');
        }
        if (isDropped && token.type.startsWith('link_')) token.tag = 'span';
        if (token.type === 'link_close') isDropped = false;
      }
    }
  });
}
