/** The saved searches of a list, and a button that saves the current one. */
import { useState } from 'preact/hooks';
import { Link, navigate, withQuery } from '../router.js';
import { Dialog } from './action.js';
import { MAX_NAME, type SavedView, viewsIn, withoutView, withView } from './saved-list.js';

/** Dashboards at other paths of the same host have their own. */
const KEY = `umbel-views ${new URL(document.baseURI).pathname}`;

export function SavedViews({ path, q }: { readonly path: string; readonly q: string }) {
  const [views, setViews] = useState(() => viewsIn(localStorage.getItem(KEY)));
  const [isNaming, setNaming] = useState(false);
  const [name, setName] = useState('');
  const store = (next: readonly SavedView[]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setViews(next);
  };
  const shown = views.filter((view) => view.path === path);
  const current = shown.find((view) => view.q === q);
  if (shown.length === 0 && q === '') return null;
  return (
    <nav class="chips saved" aria-label="Saved views">
      {shown.map((view) => (
        <Link key={view.name} to={withQuery(path, { q: view.q })} class="chip" current={view === current}>
          <span aria-hidden="true">☆</span> {view.name}
        </Link>
      ))}
      {current !== undefined && (
        <button type="button" class="quiet" onClick={() => store(withoutView(views, current))}>
          Remove this view
        </button>
      )}
      {current === undefined && q !== '' && (
        <button type="button" class="quiet" onClick={() => setNaming(true)}>
          Save this view
        </button>
      )}
      {isNaming && (
        <Dialog title="Save this view" onClose={() => setNaming(false)}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              store(withView(views, { name: name.trim(), path, q }));
              setNaming(false);
              setName('');
              navigate(withQuery(path, { q }), true);
            }}
          >
            <p>
              <code>{q}</code>
            </p>
            <label>
              Name
              <input
                required
                maxLength={MAX_NAME}
                pattern=".*\S.*"
                value={name}
                onInput={(event) => setName(event.currentTarget.value)}
              />
            </label>
            <p class="dim">This browser keeps it. To share a view, share its address.</p>
            <div class="actions end">
              <button type="button" onClick={() => setNaming(false)}>
                Cancel
              </button>
              <button type="submit" class="solid">
                Save
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </nav>
  );
}
