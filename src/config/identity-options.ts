import type { Option } from './option.ts';

/** Options of who else vouches for users: an LDAP directory, an OpenID Connect provider. */
export const IDENTITY_OPTIONS: readonly Option[] = [
  {
    ...{ name: 'ldap-url', type: { kind: 'url', schemes: ['ldap:', 'ldaps:'] } },
    help: 'The directory that is asked about users without a password here: ldaps://host, or ldap://host with --ldap-starttls.',
  },
  {
    ...{ name: 'ldap-starttls', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Turns a connection of ldap:// into one with TLS before anything is sent.',
  },
  {
    ...{ name: 'ldap-ca', type: { kind: 'path' } },
    help: 'A file of certificates to trust for the directory, in PEM. Absent: those of the system.',
  },
  {
    ...{ name: 'ldap-bind-dn', type: { kind: 'text' } },
    help: 'Whom the search runs as. Absent: anonymous.',
  },
  {
    ...{ name: 'ldap-bind-password', type: { kind: 'text' }, isSecret: true },
    help: 'The password of --ldap-bind-dn.',
  },
  {
    ...{ name: 'ldap-user-base', type: { kind: 'text' } },
    help: 'Where users are searched for, such as ou=people,dc=example,dc=org.',
  },
  {
    ...{ name: 'ldap-user-filter', type: { kind: 'text' }, fallback: '(uid={username})' },
    help: 'How a user is found: a filter (RFC 4515) with {username}.',
  },
  {
    ...{ name: 'ldap-username-attribute', type: { kind: 'text' }, fallback: 'uid' },
    help: 'The attribute with the name that a user has here; in an Active Directory sAMAccountName.',
  },
  {
    ...{ name: 'ldap-subject-attribute', type: { kind: 'text' } },
    help: 'The attribute that names a user for ever, such as entryUUID or objectGUID. Absent: the distinguished name.',
  },
  {
    ...{ name: 'ldap-group-base', type: { kind: 'text' } },
    help: 'Where groups are searched for, besides memberOf. Absent: nowhere.',
  },
  {
    ...{ name: 'ldap-group-filter', type: { kind: 'text' }, fallback: '(member={dn})' },
    help: 'How the groups of a user are found: a filter with {dn} or {username}.',
  },
  {
    ...{ name: 'ldap-roles', type: { kind: 'list' }, fallback: '' },
    help: 'Roles by group: group=role, the group by its common name; a group may be named several times.',
  },
  {
    ...{ name: 'ldap-default-roles', type: { kind: 'list' }, fallback: '' },
    help: 'The roles of everybody who signs in through the directory.',
  },
  {
    ...{ name: 'ldap-provision', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Whoever signs in through the directory first becomes a user; otherwise only those who were linked before may.',
  },
  {
    ...{ name: 'ldap-provision-only', type: { kind: 'list' }, fallback: '' },
    help: 'Of these, only who meets one of the rules becomes a user: mapped (a group of theirs is in --ldap-roles) or group=name, the group as in --ldap-roles. Absent: everybody.',
  },
  {
    ...{ name: 'oidc-issuer', type: { kind: 'url', schemes: ['https:', 'http:'] } },
    help: 'The issuer of an OpenID Connect provider, as its tokens name it: an https address.',
  },
  {
    ...{ name: 'oidc-client-id', type: { kind: 'text' } },
    help: 'The name of this server at the provider.',
  },
  {
    ...{ name: 'oidc-client-secret', type: { kind: 'text' }, isSecret: true },
    help: 'The secret of this server at the provider. Absent: a public client.',
  },
  {
    ...{ name: 'oidc-redirect-uri', type: { kind: 'list' }, fallback: '' },
    help: 'Where browsers may be sent back to, exactly as registered at the provider.',
  },
  {
    ...{ name: 'oidc-scopes', type: { kind: 'list' }, fallback: 'openid,profile,email' },
    help: 'What is asked of the provider.',
  },
  {
    ...{ name: 'oidc-username-claim', type: { kind: 'text' }, fallback: 'preferred_username' },
    help: 'The claim that gives a new user its name.',
  },
  {
    ...{ name: 'oidc-groups-claim', type: { kind: 'text' }, fallback: 'groups' },
    help: 'The claim that lists groups; dots lead into objects, such as realm_access.roles.',
  },
  {
    ...{ name: 'oidc-roles', type: { kind: 'list' }, fallback: '' },
    help: 'Roles by group: group=role; a group may be named several times.',
  },
  {
    ...{ name: 'oidc-default-roles', type: { kind: 'list' }, fallback: '' },
    help: 'The roles of everybody who signs in through the provider.',
  },
  {
    ...{ name: 'oidc-provision', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Whoever signs in through the provider first becomes a user; otherwise only those who were linked before may.',
  },
  {
    ...{ name: 'oidc-provision-only', type: { kind: 'list' }, fallback: '' },
    help: 'Of these, only who meets one of the rules becomes a user: mapped (a group of theirs is in --oidc-roles), group=name, or email-domain=example.org (an address in exactly that domain that the provider says is verified). Absent: everybody.',
  },
  {
    ...{ name: 'oidc-allow-insecure', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Takes an issuer on this machine without TLS. For development.',
  },
];
