import type { OptionReader } from '../reader.ts';
import { findIf, hasUser, type Finding, type Refusal } from '../refusal.ts';
import { judgeRandom } from './secrets.ts';

/** Refusals about where traces and alerts are sent. */
export const OBSERVATION_REFUSALS: readonly Refusal[] = [
  {
    name: 'traces to a collector',
    when: '`--otlp-endpoint` that is no address of http or https, or holds a password.',
    judge: ({ read }) => judgeAddress(read, 'otlp-endpoint'),
  },
  {
    name: 'alerts signed and by TLS',
    when: '`--alert-webhook-url` that is no such address, holds a password, or is not https without `--alert-webhook-allow-private`; or without an `--alert-webhook-secret` of at least 32 bytes that is no placeholder.',
    judge: ({ read }) =>
      read.text('alert-webhook-url') === undefined
        ? []
        : [
            ...judgeAddress(read, 'alert-webhook-url'),
            ...judgeCleartext(read),
            ...judgeSecret(read),
          ],
  },
];

function judgeAddress(read: OptionReader, option: string): readonly Finding[] {
  const text = read.text(option);
  if (text === undefined) return [];
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    const fix = 'give one such as https://ops.example.org:4318';
    return [{ option, why: 'is no address of http or https', fix }];
  }
  const fix = 'leave them out';
  return findIf(hasUser(url), { option, why: 'holds a user name or a password', fix });
}

function judgeCleartext(read: OptionReader): readonly Finding[] {
  const option = 'alert-webhook-url';
  const isHttp = URL.parse(read.text(option) ?? '')?.protocol === 'http:';
  return findIf(isHttp && !read.switch('alert-webhook-allow-private'), {
    ...{ option, why: 'is not https' },
    fix: 'use it, or give --alert-webhook-allow-private',
  });
}

function judgeSecret(read: OptionReader): readonly Finding[] {
  const option = 'alert-webhook-secret';
  if (read.text(option) !== undefined) return judgeRandom(read, option);
  return [{ option, why: 'is missing', fix: '--alert-webhook-url needs it' }];
}
