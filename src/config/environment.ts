/** The variables of this process. The only place that reads them. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** One variable of this process. An empty one counts as none: that is how a script takes one back. */
export function variable(name: string): string | undefined {
  const text = environment()[name];
  return text === '' ? undefined : text;
}
