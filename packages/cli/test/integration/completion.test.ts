import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

describe('umbel completion', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-completion-'));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  const script = (shell: string) =>
    spawnSync(process.execPath, [program, 'completion', shell], { encoding: 'utf8' });

  /** What bash offers for the last of these words. */
  function completed(...words: string[]): string[] {
    writeFileSync(join(folder, 'umbel.bash'), script('bash').stdout);
    const given = words.map((word) => `'${word}'`).join(' ');
    const lines = [
      `source ${join(folder, 'umbel.bash')}`,
      `COMP_WORDS=(umbel ${given}); COMP_CWORD=${words.length}`,
      '_umbel',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
      'printf "%s\\n" "${COMPREPLY[@]}"',
    ];
    const { stdout, stderr } = spawnSync('bash', ['-c', lines.join('\n')], { encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout.split('\n').filter((line) => line !== '');
  }

  test('completes in bash', () => {
    expect(completed('w')).toEqual(['worker']);
    expect(completed('worker', '--max')).toEqual(['--max-jobs', '--max-memory']);
    expect(completed('worker', '--loglevel', 'd')).toEqual(['debug']);
    expect(completed('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(completed('worker', './ta')).toEqual([]); // files, by bash itself
  });

  test('has a script for each shell, and refuses others', () => {
    expect(script('zsh').stdout).toContain('#compdef umbel');
    expect(script('fish').stdout).toContain('complete -c umbel');
    expect(script('tcsh')).toMatchObject({ status: 2, stdout: '' });
  });
});
