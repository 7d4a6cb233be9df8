/**
 * A page, walked through as a newcomer does: its files are written down and its commands typed in, in the order of the
 * page, in an empty folder. The packages are those of this repository, packed; the Redis is one of the walk's own.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { packedFiles } from './packed.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { root } from './snippets.js';

/** A block of a page that is walked through. */
export type Stop =
  | { readonly kind: 'file'; readonly file: string; readonly text: string }
  /** `says` is what the last of its commands prints. */
  | { readonly kind: 'commands'; readonly text: string; readonly says: string | undefined };

/** As the pages write it. */
const USUAL_REDIS = 'redis://127.0.0.1:6379';
/** Of what the pages install from elsewhere, and this repository does not have. */
const TSX = '4.23.15';
const LONGEST_MS = 180_000;

/** The blocks `ts file=…`, `sh walk` and, after one of those, `text walk`. */
export function stopsOf(page: string): Stop[] {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(/^```(ts file=\S+|sh walk|text walk)\n([\s\S]*?)^```$/gm)];
  const stops: Stop[] = [];
  for (const [index, [, kind = '', code = '']] of blocks.entries()) {
    if (kind.startsWith('ts')) stops.push({ kind: 'file', file: kind.slice('ts file='.length), text: code });
    if (kind !== 'sh walk') continue;
    const [, next, says] = blocks[index + 1] ?? [];
    stops.push({ kind: 'commands', text: code, says: next === 'text walk' ? says : undefined });
  }
  return stops;
}

/** What the lines have left behind that set up a project, by these lines. */
const projects = new Map<string, string>();

export class Walk {
  readonly #folder: string;
  /** Where the lines are typed in. */
  #cwd: string;
  readonly #packages: ReadonlyMap<string, string>;
  readonly #redis: RedisServer;
  readonly #env: Record<string, string>;

  private constructor(folder: string, redis: RedisServer) {
    this.#folder = join(folder, 'empty');
    mkdirSync(this.#folder);
    this.#cwd = this.#folder;
    this.#packages = packedFiles();
    this.#redis = redis;
    const { UMBEL_URL: _, VITEST: __, NODE_ENV: ___, ...env } = process.env as Record<string, string>;
    const ofNpm = { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_prefer_offline: 'true' };
    this.#env = { ...env, ...ofNpm, npm_config_update_notifier: 'false', NO_COLOR: '1' };
  }

  static async begin(): Promise<Walk> {
    const redis = await startRedis('redis-server', {
      durable: true,
      more: ['--maxmemory-policy', 'noeviction'],
    });
    return new Walk(mkdtempSync(join(tmpdir(), 'umbel-walk-')), redis);
  }

  write(file: string, text: string): void {
    appendFileSync(join(this.#cwd, file), text);
  }

  /**
   * Types in the lines. Gives what the last one prints. Lines that set up a project are typed in once for all pages that
   * have the same: installing packages takes longer than all the rest.
   *
   * @throws if one of them fails.
   */
  async type(text: string): Promise<string> {
    const lines = text.trim().split('\n');
    const first = lines.findIndex((line) => line.startsWith('npm init'));
    const settingUp = first < 0 ? [] : lines.splice(first);
    const running: ChildProcess[] = [];
    let printed = '';
    try {
      for (const line of lines) {
        const [, name = '', value = ''] = /^export (\w+)=(\S+)$/.exec(line) ?? [];
        if (name !== '') this.#env[name] = value.replace(USUAL_REDIS, this.#redis.url);
        else if (/# .*in one terminal/.test(line)) running.push(await this.#begin(line));
        else printed = this.#run(line);
      }
      if (settingUp.length > 0) this.#setUp(settingUp);
      return printed;
    } finally {
      for (const program of running) await this.#end(program);
    }
  }

  /** In a folder with nothing in it. */
  #setUp(lines: readonly string[]): void {
    expect(readdirSync(this.#cwd)).toEqual([]);
    const key = lines.join('\n');
    const made = projects.get(key);
    if (made !== undefined) {
      copy(made, this.#cwd);
      return;
    }
    for (const line of lines) this.#run(line);
    const kept = mkdtempSync(join(tmpdir(), 'umbel-walked-'));
    copy(this.#cwd, kept);
    projects.set(key, kept);
  }

  /** Removes what is kept for other pages. */
  static forget(): void {
    for (const folder of projects.values()) rmSync(folder, { recursive: true, force: true });
    projects.clear();
  }

  async end(): Promise<void> {
    await this.#redis.stop();
    rmSync(join(this.#folder, '..'), { recursive: true, force: true });
  }

  #run(line: string): string {
    const { status, stdout, stderr } = spawnSync('bash', ['-c', this.#toRun(line)], {
      ...{ cwd: this.#cwd, env: this.#env, encoding: 'utf8', timeout: LONGEST_MS },
    });
    if (status !== 0) throw new Error(`${line}\nended with ${status}:\n${stdout}${stderr}`);
    const [, into] = / cd (\S+)$/.exec(line) ?? [];
    if (into !== undefined) this.#cwd = join(this.#cwd, into);
    return stdout;
  }

  /** Begins what goes on until it is ended, and has said something. */
  async #begin(line: string): Promise<ChildProcess> {
    const program = spawn('bash', ['-c', this.#toRun(line)], {
      ...{ cwd: this.#cwd, env: this.#env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    });
    const said = [once(program.stdout, 'data'), once(program.stderr, 'data')];
    const failed = once(program, 'exit').then(([code]) => {
      throw new Error(`${line}\nended with ${code}`);
    });
    failed.catch(() => {}); // once it is ended by this
    await Promise.race([...said, failed]);
    return program;
  }

  /** As by Ctrl-C. */
  async #end(program: ChildProcess): Promise<void> {
    if (program.pid === undefined || program.exitCode !== null) return;
    const exited = once(program, 'exit');
    process.kill(-program.pid, 'SIGINT');
    await exited;
  }

  /** The same with the packages of this repository, and the versions that it has of others. */
  #toRun(line: string): string {
    if (!line.startsWith('npm install')) return line;
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    const versions: Record<string, string | undefined> = { ...devDependencies, tsx: TSX };
    return line
      .split(' ')
      .map((word) => this.#packages.get(word) ?? (versions[word] ? `${word}@${versions[word]}` : word))
      .join(' ');
  }
}

/** The files of one folder in another one, not copied but linked, as nobody changes those that are installed. */
function copy(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-al', `${from}/.`, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** What a program prints, without what differs in a terminal: blanks at the ends of lines. */
export function trimmed(text: string): string {
  return text.trim().replaceAll(/ +$/gm, '');
}
