/** Finds the web links of a text: in Markdown, in HTML, or bare. */

/** The http and https addresses of a text, each once, in order of appearance. */
export function linksIn(text: string): string[] {
  return separateLinks(text).links;
}

/** The text without its links, and the links. Code blocks and HTML comments are no part of either. */
export function separateLinks(text: string): { prose: string; links: string[] } {
  const visible = visibleText(text);
  const links = new Set<string>();
  let prose = '';
  let at = 0;
  for (let start = nextLink(visible, at); start !== -1; start = nextLink(visible, at)) {
    const end = endOfLink(visible, start);
    const link = visible.slice(start, end).replaceAll('&amp;', '&');
    if (URL.canParse(link)) links.add(link);
    prose += `${visible.slice(at, start)} `;
    at = end;
  }
  return { prose: prose + visible.slice(at), links: [...links] };
}

function nextLink(text: string, from: number): number {
  const scheme = /\bhttps?:\/\//gi;
  scheme.lastIndex = from;
  return scheme.exec(text)?.index ?? -1;
}

/** A link ends before a bracket that it does not open, and before the punctuation of its sentence. */
function endOfLink(text: string, start: number): number {
  const open: string[] = [];
  let end = start;
  for (; end < text.length; end += 1) {
    const character = text.charAt(end);
    if (/[\s<>"`\\^{}|]/.test(character)) break;
    if (character === '(') open.push(')');
    if (character === '[') open.push(']');
    if ((character === ')' || character === ']') && open.pop() !== character) break;
  }
  while (/[.,:;!?'*_~]/.test(text.charAt(end - 1))) end -= 1;
  return end;
}

/** The text without fenced code blocks and HTML comments; one that is not closed goes on to the end. */
function visibleText(text: string): string {
  let fence: string | undefined;
  const lines = text.split(/\r?\n/).filter((line) => {
    const mark = /^[ \t]*(`{3,}(?!.*`)|~{3,})/.exec(line)?.[1];
    if (fence === undefined) {
      fence = mark;
      return mark === undefined;
    }
    if (mark?.startsWith(fence) && line.trim() === mark) fence = undefined;
    return false;
  });
  return lines.join('\n').replace(/<!--[\s\S]*?(?:-->|$(?![\s\S]))/g, ' ');
}
