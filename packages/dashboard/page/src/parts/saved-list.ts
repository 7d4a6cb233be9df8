/** Named searches, kept by the browser for one dashboard and one user of it. */

export interface SavedView {
  readonly name: string;
  /** `/jobs` or `/runs`. */
  readonly path: string;
  readonly q: string;
}

const MAX_VIEWS = 30;
export const MAX_NAME = 40;

/** Returns the views in a text of the storage. The user or an older version may have written anything there. */
export function viewsIn(text: string | null): readonly SavedView[] {
  try {
    const parsed: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(parsed) ? parsed.filter(isView).slice(0, MAX_VIEWS) : [];
  } catch {
    return [];
  }
}

function isView(value: unknown): value is SavedView {
  if (typeof value !== 'object' || value === null) return false;
  const { name, path, q } = value as Record<string, unknown>;
  return typeof name === 'string' && typeof path === 'string' && typeof q === 'string';
}

/** Returns the views with another one at their end, instead of one of the same name and path. */
export function withView(views: readonly SavedView[], view: SavedView): readonly SavedView[] {
  return [...withoutView(views, view), view].slice(-MAX_VIEWS);
}

export function withoutView(
  views: readonly SavedView[],
  { name, path }: Pick<SavedView, 'name' | 'path'>,
): readonly SavedView[] {
  return views.filter((view) => view.name !== name || view.path !== path);
}
