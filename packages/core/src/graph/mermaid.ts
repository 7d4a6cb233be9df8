import { COLORS, captionOf, edgeCaption, linesOf, namesOf, type Picture, shownState } from './text.js';

/** The graph as a `flowchart LR`. @see https://mermaid.js.org/syntax/flowchart.html */
export function mermaidOf({ nodes, edges }: Picture): string {
  const names = namesOf(nodes);
  const states = new Set(nodes.map(shownState));
  return [
    'flowchart LR',
    ...nodes.map(
      (node) => `  ${names.get(node.id)}["${escaped(captionOf(node))}"]:::${classOf(shownState(node))}`,
    ),
    ...edges.map((edge) => {
      const caption = edgeCaption(edge);
      const arrow = edge.kind === undefined ? '-->' : '-.->';
      const label = caption === undefined ? '' : `|"${escaped(caption)}"|`;
      return `  ${names.get(edge.from)} ${arrow}${label} ${names.get(edge.to)}`;
    }),
    ...[...states].map((state) => {
      const [fill, border] = COLORS[state] ?? ['#ffffff', '#71717a'];
      return `  classDef ${classOf(state)} fill:${fill},stroke:${border},color:#18181b`;
    }),
    '',
  ].join('\n');
}

/** A class of Mermaid has no hyphen in its name. */
function classOf(state: string): string {
  return state.replaceAll('-', '_');
}

/** Text between quotes: whatever could have a meaning for Mermaid, Markdown or HTML is written as its number. */
function escaped(text: string): string {
  const line = (part: string) =>
    part.replace(/[^\p{L}\p{N} ×.,:_/()-]/gu, (sign) => `#${sign.codePointAt(0)};`);
  return linesOf(text).map(line).join('<br/>');
}
