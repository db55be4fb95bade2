/** The driver, for those that connect: imported when a command does so, because it takes longer to load than `plan validate` runs. */
export { MongoClient } from 'mongodb';
