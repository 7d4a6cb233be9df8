import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseSpec } from '../../src/app-loader.js';
import { completionTree, scriptFor } from '../../src/commands/completion.js';
import { nodeCheck } from '../../src/commands/doctor.js';
import { isModule } from '../../src/commands/graph.js';
import { COMMANDS } from '../../src/commands/index.js';
import { definedCommands, helpPages } from '../../src/program.js';

test('every JSON document that the code names is in the table of docs/cli.md', () => {
  const root = fileURLToPath(new URL('../../../../', import.meta.url));
  const [, table = ''] = readFileSync(join(root, 'docs/cli.md'), 'utf8').split('\n### JSON documents\n');
  const named = new Set(
    [...(table.split('\n### ')[0]?.matchAll(/^\| (`[^|]*)\|/gm) ?? [])].flatMap(([, cell = '']) =>
      Array.from(cell.matchAll(/`([a-z-]+)`/g), ([, name]) => name),
    ),
  );
  const source = join(root, 'packages/cli/src');
  const kinds = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...readFileSync(join(source, file), 'utf8').matchAll(/\.document\(\s*'([a-z-]+)'/g)])
    .map(([, kind]) => kind);
  expect(kinds.length).toBeGreaterThan(20);
  expect(kinds.filter((kind) => !named.has(kind))).toEqual([]);
});

describe('the help', () => {
  test('of every command is named in docs/cli.md', async () => {
    const file = fileURLToPath(new URL('../../../../docs/cli.md', import.meta.url));
    const [, table = ''] = readFileSync(file, 'utf8').split('\n## Commands\n');
    const named = new Set(
      [...(table.split('\n### ')[0]?.matchAll(/`([a-z-]+)`/g) ?? [])].map(([, name]) => name),
    );
    expect([...named].sort()).toEqual(Object.keys(COMMANDS).sort());
  });

  test('of every command has examples, and every command has --json', async () => {
    const pages = await helpPages();
    for (const [name, { load }] of Object.entries(COMMANDS)) {
      const { verbs = {} } = (await load()).default;
      for (const each of [name, ...Object.keys(verbs).map((verb) => `${name}/${verb}`)])
        expect(pages.get(each)).toMatch(/\n\nExamples:\n {2}\S+/);
    }
    for (const command of await definedCommands()) {
      const leaves = command.commands.length > 0 ? command.commands : [command];
      for (const leaf of leaves.filter((each) => each.name() !== 'completion'))
        expect(leaf.options.map(({ long }) => long)).toContain('--json');
    }
  });
});

describe('completion', () => {
  test('knows every command, and its flags with their values', async () => {
    const tree = completionTree(await definedCommands());
    expect(tree.map(({ name }) => name)).toEqual(Object.keys(COMMANDS));
    const worker = tree.find(({ name }) => name === 'worker');
    expect(worker?.flags).toContainEqual({
      names: ['-l', '--loglevel'],
      description: 'Log level',
      takesValue: true,
      values: ['debug', 'info', 'warn', 'error', 'silent'],
    });
    const control = tree.find(({ name }) => name === 'control');
    expect(control?.values).toContain('rate-limit');
    expect(control?.flags.filter(({ names }) => names.includes('--yes'))).toHaveLength(1);
    expect(tree.find(({ name }) => name === 'completion')?.values).toEqual(['bash', 'zsh', 'fish']);
  });

  test('quotes what descriptions hold', () => {
    const flags = [{ names: ['--x'], description: "it's [a]: `b` $c", takesValue: true, values: [] }];
    const tree = [{ name: 'do', description: "it's", flags, values: [] }];
    expect(scriptFor('fish', tree)).toContain(`-l x -r -d 'it'\\''s [a]: \`b\` $c'`);
    expect(scriptFor('zsh', tree)).toContain(`'--x[it'\\''s  a   \`b\` $c]:value:_files'`);
    expect(scriptFor('bash', tree)).not.toContain("it's");
  });
});

describe('a target', () => {
  test.each([
    ['./tasks.ts', true],
    ['tasks.mts', true],
    ['src/tasks#app', true],
    ['3f2a91c0-1111-4222-8333-444455556666', false],
    ['3f2a91c0.0-1', false],
    ['nightly', false],
  ])('%s: a module? %s', (target, expected) => {
    expect(isModule(target)).toBe(expected);
  });

  test('may name an export', () => {
    expect(parseSpec('./a.ts#app')).toEqual({ path: './a.ts', exportName: 'app' });
    expect(parseSpec('./a.ts#')).toEqual({ path: './a.ts', exportName: undefined });
    expect(parseSpec('./a#b/c.ts#app')).toEqual({ path: './a#b/c.ts', exportName: 'app' });
  });
});

test('an old Node is told', () => {
  expect(nodeCheck('20.18.0').status).toBe('error');
  expect(nodeCheck('18.20.0').status).toBe('error');
  expect(nodeCheck('20.19.0').status).toBe('ok');
  expect(nodeCheck('24.0.0').status).toBe('ok');
});
