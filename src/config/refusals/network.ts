import { rangeProblem } from '../../platform/address-ranges.ts';
import { isLoopback } from '../../platform/loopback.ts';
import type { OptionReader } from '../reader.ts';
import { findIf, type Finding, type Refusal } from '../refusal.ts';
import { inspectClientCa, inspectTls } from '../tls-files.ts';

/** Refusals about who can reach the server, and how. */
export const NETWORK_REFUSALS: readonly Refusal[] = [
  {
    name: 'TLS beyond this machine',
    when: '`--host` beyond this machine without `--cert` and `--key`, unless `--allow-cleartext`.',
    judge: ({ read }) =>
      findIf(
        isRemote(read) &&
          read.text('cert') === undefined &&
          !read.switch('dev-mode') &&
          !read.switch('allow-cleartext'),
        {
          option: 'host',
          why: 'is not this machine, and there is no TLS',
          fix: 'give --cert and --key, or --allow-cleartext behind a proxy that has it',
        },
      ),
  },
  {
    name: 'development on this machine',
    when: '`--dev-mode` with `--host` beyond this machine, TLS or not.',
    judge: ({ read }) =>
      findIf(isRemote(read) && read.switch('dev-mode'), {
        option: 'host',
        why: 'is not this machine',
        fix: '--dev-mode listens only on 127.0.0.1, ::1 or localhost',
      }),
  },
  {
    name: 'certificate usable',
    when: '`--cert` without `--key`, or the reverse; files that cannot be read or are not PEM; a key of another certificate; a certificate that has expired or is not valid yet.',
    judge: ({ read, nowMs }) => judgeTls(read, nowMs),
  },
  {
    name: 'client certificates checkable',
    when: '`--client-ca` without `--cert`; a file that cannot be read, is not PEM, or has expired.',
    judge: ({ read, nowMs }) => judgeClientCa(read, nowMs),
  },
  {
    name: 'limits in order',
    when: '`--max-connections-per-address` above `--max-connections`; `--headers-timeout` above `--request-timeout`; `--rate-limit-burst` without `--rate-limit-requests`, or above it.',
    judge: ({ read }) => judgeLimits(read),
  },
  {
    name: 'CORS origins exact',
    when: '`--cors-origin` with what no browser sends, such as a path or `null`; `*` together with others.',
    judge: ({ read }) => judgeOrigins(read.list('cors-origin')),
  },
  {
    name: 'trusted proxies narrow',
    when: '`--trusted-proxy` with what is no address or range, or with a range wider than a /8 of IPv4 or a /7 of IPv6, such as `0.0.0.0/0`.',
    judge: ({ read }) =>
      read.list('trusted-proxy').flatMap((range) => {
        const problem = rangeProblem(range);
        const why = `has '${range}', which ${problem ?? ''}`;
        const fix = 'give the addresses of your proxies, such as 10.0.0.7 or 10.0.0.0/24';
        return findIf(problem !== undefined, { option: 'trusted-proxy', why, fix });
      }),
  },
];

function isRemote(read: OptionReader): boolean {
  return !isLoopback(read.text('host') ?? '');
}

function judgeTls(read: OptionReader, nowMs: number): readonly Finding[] {
  const hasCert = read.text('cert') !== undefined;
  if (hasCert !== (read.text('key') !== undefined)) {
    const fix = 'TLS needs --cert and --key';
    return [{ option: hasCert ? 'cert' : 'key', why: 'is given alone', fix }];
  }
  const { certificate, certProblem, keyProblem } = inspectTls(read);
  return [
    ...(certProblem === undefined ? [] : [{ option: 'cert', ...certProblem }]),
    ...(keyProblem === undefined ? [] : [{ option: 'key', ...keyProblem }]),
    ...(certificate === undefined ? [] : judgeDates('cert', certificate, nowMs)),
  ];
}

function judgeClientCa(read: OptionReader, nowMs: number): readonly Finding[] {
  const option = 'client-ca';
  if (read.text(option) === undefined) return [];
  if (read.text('cert') === undefined) {
    const fix = 'give --cert and --key too';
    return [{ option, why: 'is given without TLS, so that no client can show anything', fix }];
  }
  const { certificate, problem } = inspectClientCa(read);
  return [
    ...(problem === undefined ? [] : [{ option, ...problem }]),
    ...(certificate === undefined ? [] : judgeDates(option, certificate, nowMs)),
  ];
}

function judgeLimits(read: OptionReader): readonly Finding[] {
  const requests = read.whole('rate-limit-requests');
  const burst = read.whole('rate-limit-burst');
  return [
    ...findAbove(read, 'max-connections-per-address', 'max-connections'),
    ...findAbove(read, 'headers-timeout', 'request-timeout'),
    ...findIf(burst > 0 && requests === 0, {
      option: 'rate-limit-burst',
      why: 'is given without --rate-limit-requests, which says how fast a burst comes back',
      fix: 'give that too',
    }),
    ...(requests === 0 ? [] : findAbove(read, 'rate-limit-burst', 'rate-limit-requests')),
  ];
}

function findAbove(read: OptionReader, option: string, bound: string): readonly Finding[] {
  return findIf(read.whole(option) > read.whole(bound), {
    option,
    why: `is ${String(read.whole(option))}, above --${bound} ${String(read.whole(bound))}`,
    fix: 'lower it, or raise the other',
  });
}

function judgeDates(
  option: string,
  { validFrom, validTo }: { readonly validFrom: string; readonly validTo: string },
  nowMs: number,
): readonly Finding[] {
  return [
    ...findIf(Date.parse(validTo) <= nowMs, {
      option,
      why: `expired at ${validTo}`,
      fix: 'renew it',
    }),
    ...findIf(Date.parse(validFrom) > nowMs, {
      option,
      why: `is valid only from ${validFrom}`,
      fix: 'wait, or set the clock of this machine',
    }),
  ];
}

function judgeOrigins(origins: readonly string[]): readonly Finding[] {
  const wrong = origins.find((origin) => origin !== '*' && URL.parse(origin)?.origin !== origin);
  return [
    ...findIf(wrong !== undefined, {
      option: 'cors-origin',
      why: `has '${wrong ?? ''}', which no browser sends`,
      fix: 'give origins such as https://app.example.org, without a path',
    }),
    ...findIf(origins.length > 1 && origins.includes('*'), {
      option: 'cors-origin',
      why: 'has * beside other origins',
      fix: 'give one or the other',
    }),
  ];
}
