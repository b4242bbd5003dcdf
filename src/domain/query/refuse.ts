import { DomainError } from '../../errors/domain-error.ts';
import type { Reason } from '../../errors/reason.ts';

const FIELD_SHOWN_MAX = 256;
const TEXT_SHOWN_MAX = 40;

/** The error of one argument: `path` is its place, `problem` says what it is and what is wanted. */
export function refuse(reason: Reason, path: string, problem: string): DomainError {
  const field = path.length > FIELD_SHOWN_MAX ? `${path.slice(0, FIELD_SHOWN_MAX)}…` : path;
  return new DomainError(reason, `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}

/** Names a value by its type, and a number or short text by itself; never a whole body. */
export function nameOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${String(value.length)}`;
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'number':
      return `the number ${String(value)}`;
    case 'string':
      return `the text ${JSON.stringify(shortened(value))}`;
    default:
      return 'an object';
  }
}

function shortened(text: string): string {
  return text.length > TEXT_SHOWN_MAX ? `${text.slice(0, TEXT_SHOWN_MAX)}…` : text;
}
