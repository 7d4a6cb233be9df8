/** Buttons that send actions, with a dialog for those that need a confirmation or an input. */
import type { ComponentChildren } from 'preact';
import { createContext } from 'preact';
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { act } from '../api.js';
import type { AppFacts } from '../types.js';
import { Problem } from './parts.js';
import { parsed } from './schema-fields.js';

export const AppContext = createContext<AppFacts | undefined>(undefined);

export interface ActionProps {
  readonly action: string;
  readonly label: string;
  readonly body: object;
  /** What the dialog says. Without it, the action is sent at once. */
  readonly confirm?: ComponentChildren;
  /** The text that the user must type. */
  readonly typed?: string;
  /** JSON that the user can edit, as `field` of the body. */
  readonly edit?: { readonly field: string; readonly json: string; readonly label: string };
  readonly isDangerous?: boolean;
  readonly onDone?: (answer: Readonly<Record<string, unknown>>) => void;
}

/** Runs what a button or a dialog sends: its last error, and whether it is under way. */
export function useSending() {
  const [error, setError] = useState<Error>();
  const [isBusy, setBusy] = useState(false);
  const run = async (send: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    try {
      await send();
    } catch (problem) {
      setError(problem as Error);
    }
    setBusy(false);
  };
  return { error, setError, isBusy, run };
}

/** A button for an action; nothing if the user may not do it. */
export function Action(props: ActionProps) {
  const app = useContext(AppContext);
  const [isOpen, setOpen] = useState(false);
  const { error, setError, isBusy, run } = useSending();
  if (app?.actions.includes(props.action) !== true) return null;
  const needsDialog = props.confirm !== undefined || props.edit !== undefined;
  const send = () => run(async () => props.onDone?.(await act(props.action, props.body)));
  return (
    <>
      <button
        type="button"
        class={props.isDangerous ? 'danger' : ''}
        disabled={isBusy}
        title={error?.message}
        onClick={() => (needsDialog ? setOpen(true) : void send())}
      >
        {props.label}
      </button>
      {error !== undefined && !isOpen && (
        <Dialog title={props.label} onClose={() => setError(undefined)}>
          <Problem error={error} />
        </Dialog>
      )}
      {isOpen && <ActionDialog {...props} onClose={() => setOpen(false)} />}
    </>
  );
}

function ActionDialog({
  action,
  label,
  body,
  confirm,
  typed,
  edit,
  isDangerous,
  onDone,
  onClose,
}: ActionProps & { readonly onClose: () => void }) {
  const [text, setText] = useState('');
  const [json, setJson] = useState(edit?.json ?? '');
  const { error, isBusy, run } = useSending();
  const send = () =>
    run(async () => {
      const edited = edit === undefined || json.trim() === '' ? {} : { [edit.field]: parsed(json) };
      const typedFields = typed === undefined ? {} : { confirm: text };
      const answer = await act<Readonly<Record<string, unknown>>>(action, {
        ...body,
        ...edited,
        ...typedFields,
      });
      onClose();
      onDone?.(answer);
    });
  return (
    <Dialog title={label} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        {confirm !== undefined && <p>{confirm}</p>}
        {edit !== undefined && (
          <label>
            {edit.label}
            <textarea
              rows={12}
              spellcheck={false}
              value={json}
              onInput={(event) => setJson(event.currentTarget.value)}
            />
          </label>
        )}
        {typed !== undefined && (
          <label>
            Type <code>{typed}</code> to confirm
            <input value={text} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        )}
        <Problem error={error} />
        <div class="actions end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            class={isDangerous ? 'danger solid' : 'solid'}
            disabled={isBusy || (typed !== undefined && text !== typed)}
          >
            {label}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function Dialog({
  title,
  children,
  onClose,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}
