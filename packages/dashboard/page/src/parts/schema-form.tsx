/** A form for a value with a JSON Schema: a field for each simple property, JSON for everything else. */
import { useEffect, useId, useState } from 'preact/hooks';
import { act, read } from '../api.js';
import { Dialog, useSending } from './action.js';
import type { Commands } from './commands.js';
import { CopyCommands } from './copy.js';
import { Problem } from './parts.js';
import { type Field, fieldsOf, formValueOf, parsed, type Schema } from './schema-fields.js';

interface SendDialogProps {
  readonly title: string;
  readonly action: string;
  readonly body: object;
  /** The field of the body that has the value. */
  readonly field: string;
  readonly schema: Schema | null;
  /** The same sending as a command and as code. */
  readonly commands?: (value: unknown) => Commands;
  /** Where the values of earlier sendings are read. */
  readonly recent?: string;
  readonly onClose: () => void;
  readonly onDone: (answer: Readonly<Record<string, unknown>>) => void;
}

export function SendDialog({
  title,
  action,
  body,
  field,
  schema,
  recent,
  commands,
  onClose,
  onDone,
}: SendDialogProps) {
  const fields = fieldsOf(schema);
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [json, setJson] = useState('');
  const [isForm, setForm] = useState(fields !== undefined);
  const { error, setError, isBusy, run } = useSending();
  /** @throws {Error} if a text is no JSON. */
  const valueNow = (): unknown => {
    if (isForm && fields !== undefined) return formValueOf(fields, texts);
    return json.trim() === '' ? undefined : parsed(json);
  };
  const send = () =>
    run(async () => {
      const value = valueNow();
      const answer = await act<Readonly<Record<string, unknown>>>(action, { ...body, [field]: value });
      onClose();
      onDone(answer);
    });
  const toJson = () => {
    try {
      if (fields !== undefined) setJson(JSON.stringify(formValueOf(fields, texts), undefined, 2));
      setForm(false);
    } catch (problem) {
      setError(problem as Error);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        {recent !== undefined && (
          <RecentInputs
            path={recent}
            onChoose={(text) => {
              setJson(text);
              setForm(false);
            }}
          />
        )}
        {isForm && fields !== undefined ? (
          <>
            {fields.length === 0 && <p class="dim">No input is needed.</p>}
            {fields.map((each) => (
              // biome-ignore lint/a11y/noLabelWithoutControl: `Input` is the control
              <label key={each.name}>
                <span>
                  {each.name}
                  {!each.isRequired && <span class="dim"> optional</span>}
                </span>
                <Input
                  field={each}
                  text={texts[each.name] ?? ''}
                  onText={(text) => setTexts({ ...texts, [each.name]: text })}
                />
                {each.about !== undefined && <span class="dim">{each.about}</span>}
              </label>
            ))}
          </>
        ) : (
          <label>
            {field === 'input' ? 'Input' : 'Payload'}, as JSON
            <textarea
              rows={10}
              spellcheck={false}
              value={json}
              onInput={(event) => setJson(event.currentTarget.value)}
            />
          </label>
        )}
        <Problem error={error} />
        <div class="actions end">
          {commands !== undefined && <CopyCommands commands={() => commands(valueNow())} />}
          {isForm && (
            <button type="button" class="quiet" onClick={toJson}>
              Edit as JSON
            </button>
          )}
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="solid" disabled={isBusy}>
            {title.split(' ')[0]}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The inputs of the latest jobs; nothing if there are none. */
function RecentInputs({
  path,
  onChoose,
}: {
  readonly path: string;
  readonly onChoose: (json: string) => void;
}) {
  const id = useId();
  const [inputs, setInputs] = useState<readonly string[]>([]);
  useEffect(() => {
    // The form works without them.
    read<{ inputs: readonly string[] }>(path).then(
      (answer) => setInputs(answer.inputs),
      () => {},
    );
  }, [path]);
  if (inputs.length === 0) return null;
  return (
    <div class="field">
      <label for={id}>Recent inputs</label>
      <select
        id={id}
        onChange={(event) => event.currentTarget.value !== '' && onChoose(event.currentTarget.value)}
      >
        <option value="">Start with one of them</option>
        {inputs.map((json) => (
          <option key={json} value={json}>
            {json.replaceAll(/\s+/g, ' ').slice(0, MAX_SHOWN)}
          </option>
        ))}
      </select>
    </div>
  );
}

const MAX_SHOWN = 80;

interface InputProps {
  readonly field: Field;
  readonly text: string;
  readonly onText: (text: string) => void;
}

function Input({ field: { kind, choices, isRequired }, text, onText }: InputProps) {
  if (kind === 'choice' || kind === 'boolean')
    return (
      <select value={text} required={isRequired} onChange={(event) => onText(event.currentTarget.value)}>
        <option value="" />
        {(kind === 'boolean' ? ['true', 'false'] : choices).map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  if (kind === 'json')
    return (
      <textarea
        rows={4}
        spellcheck={false}
        required={isRequired}
        placeholder="JSON"
        value={text}
        onInput={(event) => onText(event.currentTarget.value)}
      />
    );
  return (
    <input
      {...(kind === 'number' ? { type: 'number' as const, step: 'any' } : { type: 'text' as const })}
      required={isRequired}
      value={text}
      onInput={(event) => onText(event.currentTarget.value)}
    />
  );
}
