import type { Fault } from './faults.ts';
import { maskUrls, shownValue } from './mask-urls.ts';
import type { Option } from './option.ts';
import { OPTIONS } from './options.ts';
import type { OptionValues } from './values.ts';

/** Reads checked values by the name of their option. */
export interface OptionReader {
  text(name: string): string | undefined;
  whole(name: string): number;
  switch(name: string): boolean;
  list(name: string): readonly string[];
  /** Where a value came from; the flag when there is none. */
  origin(name: string): string;
  /** The file that holds a value; undefined when none does. */
  file(name: string): string | undefined;
}

/** Creates a reader of values that `checkValues` found nothing wrong with. */
export function createReader(values: OptionValues): OptionReader {
  const text = (name: string): string | undefined => values.get(name)?.text;
  return {
    text,
    whole: (name) => Number(text(name)),
    switch: (name) => text(name) === 'true',
    list: (name) =>
      (text(name) ?? '')
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    origin(name) {
      const origin = values.get(name)?.origin;
      return origin === undefined || origin === 'default' ? `--${name}` : origin;
    },
    file: (name) => values.get(name)?.file,
  };
}

/** Values whose form is right, and what is wrong with the others; those count as their default. */
export function checkValues(values: OptionValues): {
  readonly sound: OptionValues;
  readonly faults: readonly Fault[];
} {
  const sound = new Map(values);
  const faults: Fault[] = [];
  for (const option of OPTIONS) {
    const { name, fallback } = option;
    const value = values.get(name);
    const problem = value === undefined ? undefined : problemOf(option, value.text);
    if (value === undefined || problem === undefined) continue;
    faults.push({ key: value.origin, problem: maskUrls(problem) });
    if (fallback === undefined) sound.delete(name);
    else sound.set(name, { text: fallback, origin: 'default' });
  }
  return { sound, faults };
}

function problemOf(option: Option, text: string): string | undefined {
  const { type } = option;
  const shown = shownValue(option, text);
  switch (type.kind) {
    case 'switch':
      return text === 'true' || text === 'false' ? undefined : `is '${shown}'; wants true or false`;
    case 'choice':
      if (type.choices.includes(text)) return undefined;
      return `is '${shown}'; wants one of ${type.choices.join(', ')}`;
    case 'whole': {
      const number = Number(text);
      const isWhole = /^\d{1,16}$/.test(text) && number >= type.min && number <= type.max;
      if (isWhole) return undefined;
      const bounds = `${String(type.min)} to ${String(type.max)} ${type.unit}`;
      return `is '${shown}'; wants a whole number, ${bounds}`;
    }
    case 'text':
    case 'url':
    case 'path':
      return text === '' ? 'is empty; give a value, or leave it out' : undefined;
    case 'list':
      return undefined;
  }
}
