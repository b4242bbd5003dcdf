import type { OptionReader } from '../reader.ts';
import { findIf, type Finding, type Refusal } from '../refusal.ts';

const SECRET_BYTES_MIN = 32;

/** Refusals about where traces and alerts are sent. */
export const OBSERVATION_REFUSALS: readonly Refusal[] = [
  {
    name: 'traces to a collector',
    when: '`--otlp-endpoint` that is no address of http or https.',
    judge({ read }) {
      const endpoint = read.text('otlp-endpoint');
      return findIf(endpoint !== undefined && !isHttp(endpoint), {
        option: 'otlp-endpoint',
        why: 'is no address of http or https',
        fix: 'give the one of the collector, such as http://127.0.0.1:4318',
      });
    },
  },
  {
    name: 'alerts signed and by TLS',
    when: '`--alert-webhook-url` that is no such address, holds a password, or is not https without `--alert-webhook-allow-private`; or without an `--alert-webhook-secret` of at least 32 bytes.',
    judge({ read }) {
      const url = read.text('alert-webhook-url');
      return url === undefined ? [] : [...judgeUrl(url, read), ...judgeSecret(read)];
    },
  },
];

function judgeUrl(text: string, read: OptionReader): readonly Finding[] {
  const option = 'alert-webhook-url';
  const url = URL.parse(text);
  if (url === null || !isHttp(text)) {
    return [{ option, why: 'is no address of http or https', fix: 'give one' }];
  }
  if (url.username !== '' || url.password !== '') {
    return [{ option, why: 'holds a user name or a password', fix: 'messages are signed instead' }];
  }
  const isClear = url.protocol !== 'https:' && !read.switch('alert-webhook-allow-private');
  const fix = 'use it, or give --alert-webhook-allow-private';
  return findIf(isClear, { option, why: 'is not https', fix });
}

function judgeSecret(read: OptionReader): readonly Finding[] {
  const option = 'alert-webhook-secret';
  const secret = read.text(option);
  if (secret === undefined) {
    return [{ option, why: 'is missing', fix: '--alert-webhook-url needs it' }];
  }
  return findIf(Buffer.byteLength(secret) < SECRET_BYTES_MIN, {
    option,
    why: `is shorter than ${String(SECRET_BYTES_MIN)} bytes and could be guessed`,
    fix: 'make a random one',
  });
}

function isHttp(text: string): boolean {
  return ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '');
}
