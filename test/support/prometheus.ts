/** A strict reader of the Prometheus text format (version 0.0.4): what is not exactly in it is an error. */

/** One line with a value. */
export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with all its lines. */
export interface ScrapedFamily {
  readonly name: string;
  readonly kind: string;
  readonly help: string;
  readonly samples: readonly ScrapedSample[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/;
const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

/** Reads a whole answer. Fails with the line at fault. */
export function parseMetrics(text: string): ReadonlyMap<string, ScrapedFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, OpenFamily>();
  let help: readonly [string, string] = ['', ''];
  let current: OpenFamily | undefined;
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, helpName, helpText = ''] = HELP.exec(line) ?? [];
    if (helpName !== undefined) {
      help = [helpName, helpText];
      continue;
    }
    const opened = openFamily(line, help);
    if (opened === undefined) {
      addSample(current, line);
      continue;
    }
    if (families.has(opened.name)) throw new Error(`${opened.name} comes twice`);
    families.set(opened.name, opened);
    current = opened;
  }
  for (const family of families.values()) checkHistogram(family);
  return families;
}

interface OpenFamily extends ScrapedFamily {
  readonly samples: ScrapedSample[];
}

function openFamily(line: string, help: readonly [string, string]): OpenFamily | undefined {
  const [, name, kind] = TYPE.exec(line) ?? [];
  if (name === undefined || kind === undefined) return undefined;
  if (help[0] !== name) throw new Error(`${name} has no help`);
  return { name, kind, help: help[1], samples: [] };
}

function addSample(family: OpenFamily | undefined, line: string): void {
  const sample = parseSample(line);
  if (family === undefined || !belongs(sample.name, family)) {
    throw new Error(`not below its type: ${line}`);
  }
  const nameOf = ({ name, labels }: ScrapedSample): string => JSON.stringify([name, labels]);
  if (family.samples.some((one) => nameOf(one) === nameOf(sample))) {
    throw new Error(`twice: ${line}`);
  }
  family.samples.push(sample);
}

/** The value of the one sample with these labels; 0 when there is none yet. */
export function valueOf(
  families: ReadonlyMap<string, ScrapedFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const matching = (families.get(name)?.samples ?? []).filter((one) =>
    Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  return matching.reduce((sum, { value }) => sum + value, 0);
}

function parseSample(line: string): ScrapedSample {
  const [, name, labelText, valueText] = SAMPLE.exec(line) ?? [];
  if (name === undefined || valueText === undefined) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (labelText !== undefined && LABEL.lastIndex < labelText.length) {
    const [, label, value] = LABEL.exec(labelText) ?? [];
    if (label === undefined || value === undefined) throw new Error(`bad labels: ${line}`);
    if (label in labels) throw new Error(`a label comes twice: ${line}`);
    labels[label] = value;
  }
  return { name, labels, value: Number(valueText.replace('Inf', 'Infinity')) };
}

function belongs(name: string, { name: family, kind }: ScrapedFamily): boolean {
  if (kind !== 'histogram') return name === family;
  return ['_bucket', '_sum', '_count'].some((suffix) => name === family + suffix);
}

/** Buckets rise, and the last is the count. */
function checkHistogram({ name, kind, samples }: ScrapedFamily): void {
  if (kind !== 'histogram') return;
  const series = new Map<string, number[]>();
  for (const { name: line, labels, value } of samples) {
    if (line !== `${name}_bucket`) continue;
    const { le, ...rest } = labels;
    if (le === undefined) throw new Error(`${name} has a bucket without bound`);
    const key = JSON.stringify(rest);
    series.set(key, [...(series.get(key) ?? []), value]);
  }
  for (const [labels, values] of series) {
    if (values.some((value, at) => value < (values[at - 1] ?? 0))) {
      throw new Error(`${name}${labels} has buckets that sink`);
    }
    const count = samples.find(
      (one) => one.name === `${name}_count` && JSON.stringify(one.labels) === labels,
    );
    if (count?.value !== values.at(-1)) throw new Error(`${name}${labels} has another count`);
  }
}
