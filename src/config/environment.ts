/** The variables of this process. The only place that reads them. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
