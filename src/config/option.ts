/** How the text of an option is read. */
export type OptionType =
  | { readonly kind: 'text' }
  /** One URL, with one of these schemes (`https:`); the parameters are those that hold no secret. */
  | {
      readonly kind: 'url';
      readonly schemes: readonly string[];
      readonly parameters?: readonly string[];
    }
  /** A path of a file or directory. */
  | { readonly kind: 'path' }
  | { readonly kind: 'switch' }
  | { readonly kind: 'whole'; readonly min: number; readonly max: number; readonly unit: string }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** Several texts, with commas between them. */
  | { readonly kind: 'list' };

/** One option. */
export interface Option {
  /** The flag without dashes, and the key of the file: `max-body-size`. */
  readonly name: string;
  readonly type: OptionType;
  /** As text, as a user would write it. Absent: no value. */
  readonly fallback?: string;
  /** Never shown; may also come from a file, by `<name>-file`. */
  readonly isSecret?: boolean;
  /** A running server takes a new value on SIGHUP; the others need a restart. */
  readonly reloads?: boolean;
  /** What MoltenDB 1.0 called it: a flag and a variable that are read too, after its own. */
  readonly formerName?: string;
  /** One or two sentences. */
  readonly help: string;
}
