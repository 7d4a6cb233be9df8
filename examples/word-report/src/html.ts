/** A piece of HTML that is safe to use as it stands. Only `html` makes one. */
class Html {
  constructor(readonly source: string) {}
}

export type { Html };

type Part = string | number | Html | readonly Html[];

/** Template tag: HTML in which every value is escaped, save what this tag itself has made. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((source, string, index) => source + render(parts[index - 1]) + string, ''));
}

function render(part: Part | undefined): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.source;
  if (typeof part === 'object') return part.map(render).join('');
  return String(part).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
