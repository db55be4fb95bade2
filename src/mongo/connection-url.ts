/**
 * The door to the parser of connection strings. Alone because: it brings a whole parser of URLs, which the build packs apart (schemas/pack-program.ts);
 * a plan whose variables are not set is checked without it.
 */
export { ConnectionString } from 'mongodb-connection-string-url';
