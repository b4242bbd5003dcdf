/**
 * The package ships declarations that its `exports` hides from the compiler. Its interface is that of
 * better-sqlite3, of which it is a build with ciphers.
 */
declare module 'better-sqlite3-multiple-ciphers' {
  import Database from 'better-sqlite3';

  export = Database;
}
