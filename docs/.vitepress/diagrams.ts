/** Mermaid's diagrams as pictures, made when the site is built: nothing of it is loaded by a browser. */
import { renderMermaidSVG } from 'beautiful-mermaid';
import type { MarkdownRenderer } from 'vitepress';

/** The diagram as SVG, without the web font that its library asks for. */
function picture(diagram: string): string {
  return renderMermaidSVG(diagram, { font: 'system-ui' }).replaceAll(/@import url\([^)]*\);?/g, '');
}

/** Shows blocks of `mermaid` as pictures. */
export function drawDiagrams(markdown: MarkdownRenderer): void {
  const fence = markdown.renderer.rules.fence;
  if (fence === undefined) throw new Error('the renderer has no rule for blocks of code');
  markdown.renderer.rules.fence = (tokens, index, ...rest) => {
    const { info = '', content = '' } = tokens[index] ?? {};
    if (info.trim() !== 'mermaid') return fence(tokens, index, ...rest);
    const data = Buffer.from(picture(content)).toString('base64');
    const text = markdown.utils.escapeHtml(content.trim());
    return `<p><img class="diagram" src="data:image/svg+xml;base64,${data}" alt="${text}" v-pre></p>\n`;
  };
}
