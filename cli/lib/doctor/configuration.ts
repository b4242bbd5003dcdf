import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { judgeConfig, type Judgement } from '../../../src/config/load.ts';
import type { Sources } from '../../../src/config/values.ts';
import { findIn, type Finding } from './finding.ts';
import { examinePractice } from './practice.ts';

const find = findIn('configuration');
const HOUR_MS = 3_600_000;
const ARCHIVE_AGE_MS = 24 * HOUR_MS;

/** Options that a production server should have, and why. They are no reason not to start. */
const ADVICE: readonly (readonly [option: string, without: string, fix: string])[] = [
  ['archive-dir', '', 'a lost disk costs everything since the last snapshot; give --archive-dir'],
  ['snapshot-schedule', '', 'snapshots are taken only on request; give --snapshot-schedule'],
  ['audit-file', '', 'audit records stay on this machine; give --audit-file, and ship it'],
  ['rate-limit-requests', '0', 'one address may ask without a bound; give --rate-limit-requests'],
];

/** Whether anything configures a server at all. */
export function isConfigured(sources: Sources): boolean {
  return [...judgeConfig(sources).values.values()].some(({ origin }) => origin !== 'default');
}

/** What is wrong with a command line, where nothing configures a server. */
export function examineLine({ faults = [] }: Sources): readonly Finding[] {
  return faults.map(({ key, problem }) => find('form', 'FAIL', `${key} ${problem}`));
}

/** Looks at a configuration: the table of refusals, row by row, then what is only advice. */
export function examineConfiguration(sources: Sources): readonly Finding[] {
  const judgement = judgeConfig(sources);
  const { malformed, rows, warnings } = judgement;
  return [
    ...malformed.map(({ key, problem }) => find('form', 'FAIL', `${key} ${problem}`)),
    ...rows.flatMap(({ name, faults }) =>
      faults.length === 0
        ? [find(name, 'ok', '')]
        : faults.map(({ key, problem }) => find(name, 'FAIL', `${key} ${problem}`)),
    ),
    ...warnings.map((warning) => find('warning', 'warn', warning)),
    ...ADVICE.map(([option, without, fix]) => {
      const isGiven = (judgement.values.get(option)?.text ?? '') !== without;
      return isGiven ? find(option, 'ok', '') : find(option, 'warn', fix);
    }),
    ...examinePractice(judgement.values),
    ...examineArchive(judgement),
  ];
}

function examineArchive({ values }: Judgement): readonly Finding[] {
  const directory = values.get('archive-dir')?.text;
  if (directory === undefined) return [];
  const name = 'archive fresh';
  const newestMs = newestIn(directory);
  if (newestMs === undefined) {
    return [
      find(name, 'warn', `nothing is in '${directory}' yet; start the server, then look again`),
    ];
  }
  const ageMs = Date.now() - newestMs;
  const hours = `${String(Math.floor(ageMs / HOUR_MS))} h ago`;
  return ageMs > ARCHIVE_AGE_MS
    ? [find(name, 'warn', `last written ${hours}; see that the server runs and can write there`)]
    : [find(name, 'ok', `last written ${hours}`)];
}

/** When the newest file in a directory was written; undefined when there is none. */
function newestIn(directory: string): number | undefined {
  try {
    const times = readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .map((name) => statSync(join(directory, name)))
      .filter((found) => found.isFile())
      .map(({ mtimeMs }) => mtimeMs);
    return times.length === 0 ? undefined : times.reduce((a, b) => Math.max(a, b));
  } catch {
    return undefined;
  }
}
