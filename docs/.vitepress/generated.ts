/** The pages of the site that are not in `docs/`: written to `docs/generated`, which is in no commit. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { apiPage, entries } from './api-reference.js';

/** The page with the help of every command, and the program that prints it. */
export const commands = { page: 'generated/cli-commands.md', program: 'packages/cli/dist/program.js' };

/** Files of the repository that are pages of the site too, and where. */
export const mirrored: Readonly<Record<string, string>> = {
  'SECURITY.md': 'generated/security-policy.md',
  'CHANGELOG.md': 'generated/changelog.md',
  'CONTRIBUTING.md': 'generated/contributing.md',
};

/** Writes all of them. It needs what the build of the packages has written. */
export async function writeGenerated(root: string): Promise<void> {
  const folder = join(root, 'docs/generated');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, { page, file }] of Object.entries(entries)) {
    writeFileSync(join(folder, `${page}.md`), apiPage(name, join(root, file)));
  }
  const { helpPages } = (await import(pathToFileURL(join(root, commands.program)).href)) as {
    helpPages(): Promise<ReadonlyMap<string, string>>;
  };
  writeFileSync(join(root, 'docs', commands.page), commandsPage(await helpPages()));
  for (const [file, page] of Object.entries(mirrored)) {
    writeFileSync(
      join(root, 'docs', page),
      moved(readFileSync(join(root, file), 'utf8'), file, `docs/${page}`),
    );
  }
}

/** The help of every command, by the names under which the program has it: `umbel`, `worker`, `runs/list`. */
function commandsPage(pages: ReadonlyMap<string, string>): string {
  const sections = [...pages].map(([name, help]) => {
    const words = name === 'umbel' ? name : `umbel ${name.replace('/', ' ')}`;
    return `## ${words}\n\n\`\`\`text\n${help}\n\`\`\`\n`;
  });
  const intro =
    'What `umbel --help` and `umbel <command> --help` print. [The command line](../cli.md) explains the rest.\n';
  return ['# Commands and flags\n', intro, ...sections].join('\n');
}

/** A page at another place, with its relative links leading where they did. */
export function moved(text: string, from: string, to: string): string {
  return text.replaceAll(/\]\((?![a-z]+:|#|\/)([^)\s]+)/g, (_, link: string) => {
    const target = posix.join(posix.dirname(from), link);
    return `](${posix.relative(posix.dirname(to), target)}`;
  });
}
