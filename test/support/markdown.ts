/** What a Markdown file links to, and what can be linked to in it. */
import { slug } from '../../docs/.vitepress/slug.js';

/** The text without its blocks and spans of code. */
function prose(text: string): string {
  return withoutBlocks(text).replaceAll(/`[^`\n]*`/g, '');
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^( *)(```+|~~~+)[\s\S]*?^\1\2 *$/gm, '');
}

/** Where its links and pictures lead, in order. */
export function linksIn(text: string): string[] {
  const inline = [...prose(text).matchAll(/\]\((<[^>]*>|[^)\s]*)/g)].map(([, to = '']) => to);
  const named = [...prose(text).matchAll(/^\[[^\]]+\]: +(\S+)/gm)].map(([, to = '']) => to);
  return [...inline, ...named].map((to) => to.replace(/^<(.*)>$/, '$1'));
}

/** The anchors of its headings. */
export function anchorsIn(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutBlocks(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const base = slug(heading.replaceAll(/[`*]|\]\([^)]*\)|\[/g, ''));
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n += 1) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}
