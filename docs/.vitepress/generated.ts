/** The pages of the site that are not in `docs/`: written to `docs/generated`, which is in no commit. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { apiPage, entries } from './api-reference.js';

/** Files of the repository that are pages of the site too, and where. */
export const mirrored: Readonly<Record<string, string>> = {
  'SECURITY.md': 'generated/security-policy.md',
  'CHANGELOG.md': 'generated/changelog.md',
  'CONTRIBUTING.md': 'generated/contributing.md',
};

/** Writes all of them. It needs what the build of the packages has written. */
export function writeGenerated(root: string): void {
  const folder = join(root, 'docs/generated');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, { page, file }] of Object.entries(entries)) {
    writeFileSync(join(folder, `${page}.md`), apiPage(name, join(root, file)));
  }
  for (const [file, page] of Object.entries(mirrored)) {
    writeFileSync(
      join(root, 'docs', page),
      moved(readFileSync(join(root, file), 'utf8'), file, `docs/${page}`),
    );
  }
}

/** A page at another place, with its relative links leading where they did. */
export function moved(text: string, from: string, to: string): string {
  return text.replaceAll(/\]\((?![a-z]+:|#|\/)([^)\s]+)/g, (_, link: string) => {
    const target = posix.join(posix.dirname(from), link);
    return `](${posix.relative(posix.dirname(to), target)}`;
  });
}
