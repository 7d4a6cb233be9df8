/**
 * Watches files for changes, for `watch` of a worker. It uses one watcher for each folder: on Linux Node's recursive watch
 * uses one for each file, including `node_modules`.
 */
import { type Dirent, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
// A namespace import: bundlers of ECMAScript modules often add an import of `dirname`, which would collide.
import * as nodePath from 'node:path';
import { clearTimeout, performance, setTimeout } from '../../base/real-timers.js';
import type { WatchedFiles } from '../options.js';

/** Wait after the last change: programs write several files within this time. */
const QUIET_MS = 200;
/** Longest wait while changes continue. */
const LONGEST_WAIT_MS = 2000;
const MAX_FOLDERS = 5000;

const MODULE = /\.([cm]?[jt]s|[jt]sx)$/;
const BUILT = new Set(['dist', 'build', 'out', 'coverage']);

/** The watched roots, and which changes count. */
export interface WatchPlan {
  /** Folders with everything below them, and single files. */
  readonly roots: readonly string[];
  readonly counts: (path: string) => boolean;
  readonly entersFolder: (path: string) => boolean;
}

/**
 * Returns what to watch. For `'modules'`: the working directory, or the folder of the program if it is elsewhere, without
 * build output unless the program is in it. `node_modules` and hidden files are watched only if they are listed.
 */
export function watchPlan(files: WatchedFiles, program: string, cwd: string): WatchPlan {
  const isHidden = (name: string) => name.startsWith('.') || name === 'node_modules';
  if (files !== 'modules') {
    const roots = files.map((path) => nodePath.resolve(cwd, path));
    const isShown = (path: string) => roots.includes(path) || !isHidden(nodePath.basename(path));
    return { roots, counts: isShown, entersFolder: isShown };
  }
  const root = isBelow(program, cwd) ? cwd : nodePath.dirname(program);
  return {
    roots: [root],
    counts: (path) => MODULE.test(path) && !isHidden(nodePath.basename(path)),
    entersFolder: (path) => {
      const name = nodePath.basename(path);
      return path === root || (!isHidden(name) && (!BUILT.has(name) || isBelow(program, path)));
    },
  };
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(nodePath.sep) ? folder : `${folder}${nodePath.sep}`);
}

/** Calls `changed` with paths relative to the working directory; returns a function that stops the watch. */
export function watchFiles(
  plan: WatchPlan,
  changed: (files: readonly string[]) => void,
  warn: (message: string) => void,
): () => void {
  const watching = new FileWatch(plan, changed, warn);
  return () => watching.close();
}

class FileWatch {
  readonly #plan: WatchPlan;
  readonly #changed: (files: readonly string[]) => void;
  readonly #warn: (message: string) => void;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #paths = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #firstAt = 0;
  #hasWarned = false;

  constructor(plan: WatchPlan, changed: (files: readonly string[]) => void, warn: (message: string) => void) {
    this.#plan = plan;
    this.#changed = changed;
    this.#warn = warn;
    for (const root of plan.roots) {
      if (isFolder(root)) this.#enter(root);
      // An editor may replace the file by a new one, which a watcher of the old file does not see.
      else this.#watch(nodePath.dirname(root), (path) => path === root && this.#add(path));
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Watches a folder and its subfolders; returns the files in them. */
  #enter(folder: string): string[] {
    if (this.#watchers.has(folder) || !this.#plan.entersFolder(folder)) return [];
    if (!this.#watch(folder, (path) => this.#event(path))) return [];
    const files: string[] = [];
    for (const entry of entriesOf(folder)) {
      const path = nodePath.join(folder, entry.name);
      if (entry.isDirectory()) files.push(...this.#enter(path));
      else files.push(path);
    }
    return files;
  }

  #watch(folder: string, event: (path: string) => void): boolean {
    const key = this.#watchers.has(folder) ? `${folder}\0${this.#watchers.size}` : folder;
    if (this.#watchers.size >= MAX_FOLDERS) {
      this.#warnOnce(`there are more than ${MAX_FOLDERS} folders: pass the paths that matter to \`watch\``);
      return false;
    }
    try {
      const watcher = watch(folder, (_, name) => {
        if (name !== null) event(nodePath.join(folder, name));
      });
      watcher.on('error', () => this.#unwatch(key)); // the folder was removed
      this.#watchers.set(key, watcher);
      return true;
    } catch (error) {
      this.#warnOnce(`${folder} cannot be watched: ${(error as Error).message}`);
      return false;
    }
  }

  #event(path: string): void {
    if (!isFolder(path)) {
      this.#unwatch(path);
      this.#add(path);
      return;
    }
    // Files that were created before the watch started have changed too.
    for (const file of this.#enter(path)) this.#add(file);
  }

  #unwatch(path: string): void {
    this.#watchers.get(path)?.close();
    this.#watchers.delete(path);
  }

  #add(path: string): void {
    if (!this.#plan.counts(path)) return;
    const now = performance.now();
    if (this.#paths.size === 0) this.#firstAt = now;
    this.#paths.add(nodePath.relative(process.cwd(), path));
    clearTimeout(this.#timer);
    const waitMs = Math.min(QUIET_MS, Math.max(0, this.#firstAt + LONGEST_WAIT_MS - now));
    this.#timer = setTimeout(() => {
      const files = [...this.#paths].sort();
      this.#paths.clear();
      this.#changed(files);
    }, waitMs);
  }

  #warnOnce(message: string): void {
    if (!this.#hasWarned) this.#warn(`some changes will not be noticed: ${message}`);
    this.#hasWarned = true;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // the folder was removed
  }
}
