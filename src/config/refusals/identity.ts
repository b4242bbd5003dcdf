import { accessSync, constants } from 'node:fs';

import { isLoopback } from '../../platform/loopback.ts';
import { parseProvisionRule } from '../read-identity.ts';
import type { OptionReader } from '../reader.ts';
import { findIf, hasUser, type Finding, type Refusal } from '../refusal.ts';

const GROUP_AND_ROLE = /^.+=[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** Refusals about who else vouches for users. */
export const IDENTITY_REFUSALS: readonly Refusal[] = [
  {
    name: 'directory complete',
    when: '`--ldap-url` that is no such URL, holds a password, or is without `--ldap-user-base`; `--ldap-ca` that cannot be read; one of `--ldap-bind-dn` and `--ldap-bind-password` without the other.',
    judge: ({ read }) => (read.text('ldap-url') === undefined ? [] : judgeDirectory(read)),
  },
  {
    name: 'directory by TLS',
    when: '`--ldap-url` with `ldap://` beyond this machine, without `--ldap-starttls`.',
    judge({ read }) {
      const url = URL.parse(read.text('ldap-url') ?? '');
      const isClear = url?.protocol === 'ldap:' && !read.switch('ldap-starttls');
      return findIf(isClear && !isLoopback(url.hostname), {
        option: 'ldap-url',
        why: 'would send passwords over the network in the clear',
        fix: 'use ldaps://, or give --ldap-starttls',
      });
    },
  },
  {
    name: 'issuer complete',
    when: '`--oidc-issuer` without `--oidc-client-id`.',
    judge: ({ read }) =>
      findIf(read.text('oidc-issuer') !== undefined && read.text('oidc-client-id') === undefined, {
        option: 'oidc-client-id',
        why: 'is missing',
        fix: '--oidc-issuer needs it',
      }),
  },
  {
    name: 'issuer by TLS',
    when: '`--oidc-issuer` without `https://`, unless it is on this machine and `--oidc-allow-insecure` is given.',
    judge({ read }) {
      const issuer = read.text('oidc-issuer');
      if (issuer === undefined) return [];
      const url = URL.parse(issuer);
      const isNear = url?.protocol === 'http:' && isLoopback(url.hostname);
      const isAllowed = isNear && read.switch('oidc-allow-insecure');
      return findIf(url?.protocol !== 'https:' && !isAllowed, {
        option: 'oidc-issuer',
        why: `is '${issuer}', which is not https://`,
        fix: 'use https://; --oidc-allow-insecure is for an issuer on this machine',
      });
    },
  },
  {
    name: 'roles by group well-formed',
    when: '`--ldap-roles` or `--oidc-roles` that are not `group=role`.',
    judge: ({ read }) =>
      ['ldap-roles', 'oidc-roles'].flatMap((option) => {
        const wrong = read.list(option).find((item) => !GROUP_AND_ROLE.test(item));
        return findIf(wrong !== undefined, {
          option,
          why: `has '${wrong ?? ''}'`,
          fix: 'wants group=role, with commas between several',
        });
      }),
  },
  {
    name: 'who becomes a user well-formed',
    when: '`--ldap-provision-only` or `--oidc-provision-only` with what is no rule, without `--ldap-provision` or `--oidc-provision`, with `mapped` where no group has a role, or with `email-domain` for a directory, which verifies no address.',
    judge: ({ read }) => [...judgeProvision(read, 'ldap'), ...judgeProvision(read, 'oidc')],
  },
];

function judgeProvision(read: OptionReader, provider: 'ldap' | 'oidc'): readonly Finding[] {
  const option = `${provider}-provision-only`;
  const rules = read.list(option);
  const isDirectory = provider === 'ldap';
  const wrong = rules.find((text) => {
    const kind = parseProvisionRule(text)?.kind;
    return kind === undefined || (isDirectory && kind === 'emailDomain');
  });
  const known = isDirectory
    ? 'mapped or group=name'
    : 'mapped, group=name or email-domain=example.org';
  const isNobody = rules.includes('mapped') && read.list(`${provider}-roles`).length === 0;
  return [
    ...findIf(wrong !== undefined, {
      option,
      why: `has '${wrong ?? ''}'`,
      fix: `wants ${known}, with commas between several`,
    }),
    ...findIf(rules.length > 0 && !read.switch(`${provider}-provision`), {
      option,
      why: 'says who becomes a user, and nobody does',
      fix: `give --${provider}-provision too`,
    }),
    ...findIf(isNobody, {
      option,
      why: 'has mapped, and no group has a role',
      fix: `give --${provider}-roles, or another rule`,
    }),
  ];
}

function judgeDirectory(read: OptionReader): readonly Finding[] {
  const url = URL.parse(read.text('ldap-url') ?? '');
  const isUrl = url !== null && ['ldap:', 'ldaps:'].includes(url.protocol) && url.hostname !== '';
  const hasPassword = read.text('ldap-bind-password') !== undefined;
  const isServiceWhole = (read.text('ldap-bind-dn') !== undefined) === hasPassword;
  const ca = read.text('ldap-ca');
  return [
    ...findIf(!isUrl, {
      option: 'ldap-url',
      why: 'is no URL of a directory',
      fix: 'give one such as ldaps://ldap.example.org',
    }),
    ...findIf(url !== null && hasUser(url), {
      option: 'ldap-url',
      why: 'holds a user name or a password',
      fix: 'give them as --ldap-bind-dn and --ldap-bind-password',
    }),
    ...findIf(url?.protocol === 'ldaps:' && read.switch('ldap-starttls'), {
      option: 'ldap-starttls',
      why: 'is given with ldaps://, which has TLS from the start',
      fix: 'give one of them',
    }),
    ...findIf(read.text('ldap-user-base') === undefined, {
      option: 'ldap-user-base',
      why: 'is missing',
      fix: '--ldap-url needs it',
    }),
    ...findIf(!isServiceWhole, {
      option: hasPassword ? 'ldap-bind-dn' : 'ldap-bind-password',
      why: 'is missing',
      fix: 'a service account needs its name and its password',
    }),
    ...findIf(ca !== undefined && !isReadable(ca), {
      option: 'ldap-ca',
      why: `names '${ca ?? ''}', which cannot be read`,
      fix: 'give a file of certificates in PEM',
    }),
  ];
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
