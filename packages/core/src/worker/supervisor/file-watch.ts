/**
 * Tells of files that change. One watch for each folder: Node's recursive one would, on Linux, take one for each file,
 * also for those of `node_modules`.
 */
import { type Dirent, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
// Not by the names of its functions: bundles of ECMAScript modules often begin with lines of their own that import `dirname`.
import * as nodePath from 'node:path';
import { clearTimeout, performance, setTimeout } from '../../base/real-timers.js';
import type { WatchedFiles } from '../options.js';

/** After the last change: programs that write several files do so within this. */
const QUIET_MS = 200;
/** Of changes that do not end. */
const LONGEST_MS = 2000;
const MAX_FOLDERS = 5000;

const MODULE = /\.([cm]?[jt]s|[jt]sx)$/;
const BUILT = new Set(['dist', 'build', 'out', 'coverage']);

/** What is watched, and which changes count. */
export interface WatchPlan {
  /** Folders with all that is in them, and single files. */
  readonly roots: readonly string[];
  readonly counts: (path: string) => boolean;
  readonly entersFolder: (path: string) => boolean;
}

/**
 * For modules: the working directory, or the folder of the program if that is elsewhere, without built files unless the
 * program is one. Never `node_modules`, nor what is hidden, unless it was named.
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

/** Calls `changed` with the files, as paths from the working directory; gives a function that stops it. */
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
      // An editor may put a new file in the place of this one, which a watch of the old one does not see.
      else this.#watch(nodePath.dirname(root), (path) => path === root && this.#add(path));
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Watches a folder and those in it; gives the files there. */
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
      this.#warnOnce(`more than ${MAX_FOLDERS} folders: give \`watch\` the paths that matter`);
      return false;
    }
    try {
      const watcher = watch(folder, (_, name) => {
        if (name !== null) event(nodePath.join(folder, name));
      });
      watcher.on('error', () => this.#leave(key)); // it is gone
      this.#watchers.set(key, watcher);
      return true;
    } catch (error) {
      this.#warnOnce(`${folder} cannot be watched: ${(error as Error).message}`);
      return false;
    }
  }

  #event(path: string): void {
    if (!isFolder(path)) {
      this.#leave(path);
      this.#add(path);
      return;
    }
    // What was put into it before it was watched has changed too.
    for (const file of this.#enter(path)) this.#add(file);
  }

  #leave(path: string): void {
    this.#watchers.get(path)?.close();
    this.#watchers.delete(path);
  }

  #add(path: string): void {
    if (!this.#plan.counts(path)) return;
    const now = performance.now();
    if (this.#paths.size === 0) this.#firstAt = now;
    this.#paths.add(nodePath.relative(process.cwd(), path));
    clearTimeout(this.#timer);
    const waitMs = Math.min(QUIET_MS, Math.max(0, this.#firstAt + LONGEST_MS - now));
    this.#timer = setTimeout(() => {
      const files = [...this.#paths].sort();
      this.#paths.clear();
      this.#changed(files);
    }, waitMs);
  }

  #warnOnce(message: string): void {
    if (!this.#hasWarned) this.#warn(`not every change will be noticed: ${message}`);
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
    return []; // it is gone
  }
}
