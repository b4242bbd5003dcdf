/** The name of the file that holds a store. */
export const STORE_FILE = 'moltendb.sqlite';
