import { COLORS, captionOf, edgeCaption, linesOf, namesOf, type Picture, shownState } from './text.js';

/** The graph as a `digraph`. @see https://graphviz.org/doc/info/lang.html */
export function dotOf({ nodes, edges }: Picture): string {
  const names = namesOf(nodes);
  return [
    'digraph run {',
    '  rankdir=LR;',
    '  node [shape=box, style="rounded,filled"];',
    ...nodes.map((node) => {
      const state = shownState(node);
      const [fill, border] = COLORS[state] ?? ['#ffffff', '#71717a'];
      return `  ${names.get(node.id)} [label=${quoted(captionOf(node))}, class=${quoted(state)}, fillcolor="${fill}", color="${border}"];`;
    }),
    ...edges.map((edge) => {
      const caption = edgeCaption(edge);
      const attributes = [
        ...(caption === undefined ? [] : [`label=${quoted(caption)}`]),
        ...(edge.kind === undefined ? [] : ['style=dashed']),
      ];
      const list = attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`;
      return `  ${names.get(edge.from)} -> ${names.get(edge.to)}${list};`;
    }),
    '}',
    '',
  ].join('\n');
}

/** Text as Graphviz reads it: a backslash begins an escape, and so does `&`. */
function quoted(text: string): string {
  const line = (part: string) => part.replace(/["\\]/g, '\\$&').replaceAll('&', '&amp;');
  return `"${linesOf(text).map(line).join('\\n')}"`;
}
