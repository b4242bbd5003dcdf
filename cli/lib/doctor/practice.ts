import type { OptionValues } from '../../../src/config/values.ts';
import { findIn, type Finding } from './finding.ts';
import { isNear } from './near.ts';

const find = findIn('configuration');
const TOKEN_SECONDS_MAX = 3600;

/** What a configuration may say, and a server on the public internet should not. */
export function examinePractice(values: OptionValues): readonly Finding[] {
  const text = (name: string): string => values.get(name)?.text ?? '';
  const looks: readonly (readonly [name: string, isGood: boolean, fix: string])[] = [
    [
      'tokens short-lived',
      Number(text('access-token-ttl')) <= TOKEN_SECONDS_MAX,
      'who steals a token has it for more than an hour; lower --access-token-ttl, sessions renew theirs',
    ],
    [
      'metrics inside',
      text('metrics-port') === '0' || isNear(text('metrics-host')),
      'who reaches --metrics-host may read the metrics; see that only the scraper does',
    ],
    [
      'origins of others',
      !text('cors-origin').split(',').some(isLocalOrigin),
      'pages that a user runs on their own machine may call; take them out of --cors-origin',
    ],
    [
      'alerts told',
      text('alert-webhook-url') !== '' || text('metrics-port') !== '0',
      'nobody is told when something is wrong; give --alert-webhook-url, or --metrics-port and the rules of deploy/alerts.yml',
    ],
  ];
  return looks.map(([name, isGood, fix]) =>
    isGood ? find(name, 'ok', '') : find(name, 'warn', fix),
  );
}

function isLocalOrigin(origin: string): boolean {
  return isNear(URL.parse(origin.trim())?.hostname ?? '');
}
