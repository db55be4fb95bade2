/**
 * The driver, for those that connect.
 *
 * Alone because: it is imported when a command connects; loading it takes longer than `plan validate` runs.
 */
export { MongoClient } from 'mongodb';
