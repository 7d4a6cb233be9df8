/**
 * Pages of reference, one for each entry of a package, from the declarations that the build has written. Every export is
 * there once, under its name, with the text of its docstring and its whole declaration.
 */
import { type ExportedName, exportsOf } from './declarations.js';

/** Entries by the name under which they are imported: the page of each, and its file in the repository. */
export const entries: Readonly<Record<string, { readonly page: string; readonly file: string }>> = {
  '@umbel/core': { page: 'api-core', file: 'packages/core/dist/index.d.ts' },
  '@umbel/canvas': { page: 'api-canvas', file: 'packages/canvas/dist/index.d.ts' },
  '@umbel/testing': { page: 'api-testing', file: 'packages/testing/dist/index.d.ts' },
  '@umbel/core/prometheus': { page: 'api-core-prometheus', file: 'packages/core/dist/prometheus/index.d.ts' },
  '@umbel/core/opentelemetry': {
    page: 'api-core-opentelemetry',
    file: 'packages/core/dist/opentelemetry/index.d.ts',
  },
};

const SECTIONS = ['Functions and values', 'Classes', 'Errors', 'Types'] as const;

/** The page of an entry, as Markdown. */
export function apiPage(name: string, file: string): string {
  const items = exportsOf(file);
  const parts = [`# ${name}`, '', `All that \`${name}\` exports, from the docstrings of its sources.`, ''];
  for (const section of SECTIONS) {
    const own = items.filter((item) => sectionOf(item) === section);
    if (own.length === 0) continue;
    parts.push(`## ${section}`, '');
    parts.push(own.map((item) => `[${item.name}](#${item.name})`).join(' · '), '');
    for (const item of own) parts.push(...itemLines(item));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function sectionOf({ name, declarations }: ExportedName): (typeof SECTIONS)[number] {
  const kinds = declarations.map(({ kind }) => kind);
  if (kinds.includes('ClassDeclaration')) return name.endsWith('Error') ? 'Errors' : 'Classes';
  return kinds.some((kind) => /Function|Variable/.test(kind)) ? 'Functions and values' : 'Types';
}

function itemLines({ name, declarations }: ExportedName): string[] {
  const docs = new Set(declarations.flatMap(({ doc }) => (doc === undefined ? [] : [doc])));
  return [
    `### ${name} {#${name}}`,
    '',
    ...[...docs].flatMap((doc) => [docMarkdown(doc), '']),
    '```ts',
    ...declarations.map(({ text }) => text),
    '```',
    '',
  ];
}

/** A docstring as Markdown: its examples as code, its other tags as a list, and nothing in it taken for HTML or a template. */
function docMarkdown(doc: string): string {
  const [text = '', ...tags] = doc.split(/^(?=@)/m);
  const list: string[] = [];
  const examples: string[] = [];
  for (const tag of tags) {
    const [, kind = '', rest = ''] = /^@(\w+)\s*([\s\S]*)$/.exec(tag.trim()) ?? [];
    if (kind === 'example')
      examples.push(['```ts', rest.replaceAll(/^```.*\n?/gm, '').trim(), '```'].join('\n'));
    else list.push(`- **${kind}** ${rest.replace(/^\{([^}]*)\}/, '`$1`').replaceAll('\n', ' ')}`);
  }
  const parts = [text.trim(), list.join('\n'), ...examples].filter((part) => part !== '');
  return changeProse(parts.join('\n\n'), (prose) =>
    prose
      .replaceAll(/\{@link ([^}]*)\}/g, '`$1`')
      .replaceAll('<', '&lt;')
      .replaceAll('{{', '&#123;&#123;'),
  );
}

/** The text, changed where it is not code. */
function changeProse(text: string, change: (prose: string) => string): string {
  const parts = text.split(/(```[\s\S]*?```|`[^`]*`)/);
  return parts.map((part, index) => (index % 2 === 0 ? change(part) : part)).join('');
}
