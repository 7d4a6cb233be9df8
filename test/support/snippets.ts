/** The code of a Markdown page, written out as its files, compiled and run. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Relaxed only in what concerns a build of several packages. */
const compilerOptions = {
  composite: false,
  declaration: false,
  declarationMap: false,
  sourceMap: false,
  rootDir: '.',
  outDir: 'dist',
};

export class Snippets {
  readonly #page: string;
  readonly #files: ReadonlyMap<string, string>;
  readonly #env: () => Readonly<Record<string, string>>;

  constructor(
    page: string,
    files: ReadonlyMap<string, string>,
    env: () => Readonly<Record<string, string>> = () => ({}),
  ) {
    this.#env = env;
    this.#page = page.replaceAll(/\W/g, '-');
    this.#files = files;
  }

  /** Beside the packages that load quickly; those of isolated tasks beside the packages as they are, which these need. */
  get #folder(): string {
    const isIsolated = [...this.#files.values()].some((code) => /\bisolate\b/.test(code));
    return join(isIsolated ? join(root, 'test/dist') : inject('quickFolder'), 'pages', this.#page);
  }

  /** Writes the files, and what it takes to compile them as strictly as this repository. */
  write(): void {
    this.remove();
    mkdirSync(this.#folder, { recursive: true });
    for (const [name, code] of this.#files) writeFileSync(join(this.#folder, name), code);
    writeFileSync(
      join(this.#folder, 'vitest.config.js'),
      'export default { test: { include: ["*.test.ts"] } };\n', // not the one of this repository
    );
    writeFileSync(
      join(this.#folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(root, 'tsconfig.base.json'), compilerOptions, include: ['*.ts'] }),
    );
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What the compiler says; empty when it is content. */
  compile(): string {
    // One checker: several check the types of packages each for itself, and other tests run meanwhile.
    return this.node(join(root, 'node_modules/typescript/bin/tsc'), '-p', '.', '--checkers', '1').stdout;
  }

  /** What Node does in the folder of the files. */
  node(...args: string[]) {
    const env = { ...process.env, ...this.#env() };
    return spawnSync(process.execPath, args, { cwd: this.#folder, env, encoding: 'utf8', timeout: 60_000 });
  }

  /** What the tests among the files do. */
  vitest(): { numPassedTests: number; numTotalTests: number } {
    const program = join(root, 'node_modules/vitest/vitest.mjs');
    const { stdout } = this.node(program, 'run', '--root', '.', '--reporter=json');
    const { numPassedTests, numTotalTests } = JSON.parse(stdout) as ReturnType<Snippets['vitest']>;
    return { numPassedTests, numTotalTests };
  }
}

/** Every block of TypeScript on a page: the file that it names, if it names one, and its code. */
export function blocksOf(page: string): { file: string | undefined; code: string }[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts(?: file=(\S+))?\n([\s\S]*?)^```$/gm)].map(([, file, code = '']) => ({
    file,
    code,
  }));
}

/** What a program says it prints: the comments `// → line`, in order. */
export function promisedLines(code: string): string[] {
  return [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, line = '']) => line);
}

/** The files that a page names: of each, all its blocks, in the order of the page. */
export function filesOf(page: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const { file, code } of blocksOf(page)) {
    if (file !== undefined) files.set(file, `${files.get(file) ?? ''}${code}`);
  }
  return files;
}
