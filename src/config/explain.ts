import type { Fault } from './faults.ts';
import { shownValue } from './mask-urls.ts';
import { OPTIONS } from './options.ts';
import { collectValues, type Sources } from './values.ts';

/** What one option is, and where that comes from. */
export interface ExplainedOption {
  readonly name: string;
  /** Absent: it has no value. A secret shows as stars, and so does what may hold one. */
  readonly value?: string;
  /** `--port`, `MOLTENDB_PORT`, `port in molten.toml` or `default`. */
  readonly origin: string;
}

/** Explains every option, in the order of the table, and names what of the sources cannot be used. */
export function explainConfig(sources: Sources): {
  readonly options: readonly ExplainedOption[];
  readonly faults: readonly Fault[];
} {
  const { values, faults } = collectValues(sources);
  const options = OPTIONS.map((option) => {
    const { name } = option;
    const found = values.get(name);
    if (found === undefined) return { name, origin: 'none' };
    const { text, origin } = found;
    return { name, value: shownValue(option, text), origin };
  });
  return { options, faults };
}
