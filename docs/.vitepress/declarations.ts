/** What a file of declarations (`.d.ts`) exports: each name with its declarations and their docstrings. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Comment, type Declaration, parseSync, type Statement } from 'oxc-parser';

export interface ExportedName {
  readonly name: string;
  /** More than one: overloads, or a type and a value of one name. */
  readonly declarations: readonly Declared[];
}

interface Declared {
  readonly kind: string;
  readonly text: string;
  /** The text of the docstring, without its stars. */
  readonly doc: string | undefined;
}

/** A name of a module, and where else it comes from. */
interface Binding {
  readonly local: string;
  readonly from: string | undefined;
}

interface Module {
  readonly text: string;
  readonly comments: readonly Comment[];
  readonly exports: Map<string, Binding>;
  readonly imports: Map<string, Binding>;
  readonly locals: Map<
    string,
    { readonly node: Declaration; readonly start: number; readonly end: number }[]
  >;
}

/**
 * The exports of a file, by name, followed to where they are declared.
 * @throws if a name cannot be followed, as of `export *` or of another package.
 */
export function exportsOf(file: string): ExportedName[] {
  const names = [...parsed(file).exports.keys()].sort((a, b) => (a < b ? -1 : 1));
  return names.map((name) => ({ name, declarations: declarationsOf(file, name) }));
}

function parsed(file: string): Module {
  const text = readFileSync(file, 'utf8');
  const { program, comments, errors } = parseSync(file, text, { lang: 'dts' });
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`);
  const module: Module = { text, comments, exports: new Map(), imports: new Map(), locals: new Map() };
  for (const statement of program.body) read(statement, module, file);
  return module;
}

/** Notes what a statement declares, imports or exports. */
function read(statement: Statement, module: Module, file: string): void {
  switch (statement.type) {
    case 'ExportNamedDeclaration': {
      if (statement.declaration !== null) declare(statement.declaration, statement, module, true);
      for (const { local, exported } of statement.specifiers) {
        module.exports.set(named(exported), { local: named(local), from: statement.source?.value });
      }
      return;
    }
    case 'ImportDeclaration': {
      for (const specifier of statement.specifiers) {
        const imported = specifier.type === 'ImportSpecifier' ? named(specifier.imported) : '*';
        module.imports.set(specifier.local.name, { local: imported, from: statement.source.value });
      }
      return;
    }
    case 'ExportAllDeclaration':
      throw new Error(`${file}: what \`export *\` exports is not listed`);
    case 'FunctionDeclaration':
    case 'TSDeclareFunction':
    case 'ClassDeclaration':
    case 'VariableDeclaration':
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
      declare(statement, statement, module, false);
  }
}

function declare(
  node: Declaration,
  outer: { readonly start: number; readonly end: number },
  module: Module,
  isExported: boolean,
): void {
  for (const name of namesOf(node)) {
    const { start, end } = outer;
    module.locals.set(name, [...(module.locals.get(name) ?? []), { node, start, end }]);
    if (isExported) module.exports.set(name, { local: name, from: undefined });
  }
}

function namesOf(node: Declaration): string[] {
  if (node.type === 'VariableDeclaration') {
    return node.declarations.flatMap(({ id }) => (id.type === 'Identifier' ? [id.name] : []));
  }
  return 'id' in node && node.id?.type === 'Identifier' ? [node.id.name] : [];
}

function named(
  name: { readonly type: string } & ({ readonly name: string } | { readonly value: string }),
): string {
  return 'name' in name ? name.name : name.value;
}

function declarationsOf(file: string, exported: string): Declared[] {
  const module = parsed(file);
  const entry = module.exports.get(exported);
  if (entry === undefined) throw new Error(`${file} has no export ${exported}`);
  const { local, from } = entry.from === undefined ? (module.imports.get(entry.local) ?? entry) : entry;
  if (from !== undefined) {
    if (!from.startsWith('.')) throw new Error(`${file}: ${exported} is of ${from}`);
    return declarationsOf(join(dirname(file), from.replace(/\.js$/, '.d.ts')), local);
  }
  const found = module.locals.get(local);
  if (found === undefined) throw new Error(`${file}: ${exported} is declared nowhere`);
  return found.map(({ node, start, end }) => ({
    kind: node.type,
    text: readable(module.text.slice(start, end)),
    doc: docBefore(module, start),
  }));
}

/** A declaration as a reader needs it: without what is private, indented by two. */
function readable(text: string): string {
  return text
    .replace(/^export (declare )?/, '')
    .replaceAll(/^ *(#private|private .*);\n/gm, '')
    .replaceAll(/^( {4})+/gm, (spaces) => ' '.repeat(spaces.length / 2));
}

/** The docstring that ends where a declaration begins. */
function docBefore({ text, comments }: Module, start: number): string | undefined {
  const comment = comments.findLast(({ end }) => end <= start && text.slice(end, start).trim() === '');
  if (comment?.type !== 'Block' || !comment.value.startsWith('*')) return undefined;
  const lines = comment.value.slice(1).split('\n');
  return lines
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim();
}
