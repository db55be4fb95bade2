/**
 * An incident to test whole commands on: an art market in staging and production, a backup of production in a tar, one
 * partner destroyed in both, and a plan that brings it back. Every incident has databases and a folder of its own.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Db } from 'mongodb';
import { destroyPartner } from '../demo/accident.ts';
import { artMarket, fillArtMarket, LOST_PARTNER } from '../lab/art-market.ts';
import { callPlan } from '../lab/call-plan.ts';
import { temporaryFolder } from '../lab/guard.ts';
import type { Lab } from '../lab/lab.ts';
import {
  type PlanCommandOptions,
  type PlanRun,
  type RunningPlan,
  runPlan,
  startPlan,
} from '../lab/plan-command.ts';
import { tarFolder } from '../lab/tar.ts';
import { mongodump } from '../lab/tools.ts';

export interface Incident {
  /** Absolute; holds `plan.yaml` and `db.tar`, and is the working directory of every command. */
  readonly folder: string;
  readonly staging: Db;
  readonly production: Db;
  readonly env: Readonly<Record<string, string>>;
  /** Writes `plan.yaml`; `edit` changes the text of the usual plan. */
  writePlan(edit?: (text: string) => string): void;
  /** In a process of its own. */
  run(args: readonly string[], options?: PlanCommandOptions): Promise<PlanRun>;
  /** In this process, which costs less. */
  call(args: readonly string[], options?: PlanCommandOptions): Promise<PlanRun>;
  start(args: readonly string[], options?: PlanCommandOptions): RunningPlan;
  close(): void;
}

export interface IncidentOptions {
  /** Number of artworks; default 200. */
  readonly artworks?: number;
}

export async function createIncident(lab: Lab, { artworks = 200 }: IncidentOptions = {}): Promise<Incident> {
  const folder = temporaryFolder('incident');
  const production = lab.production.client.db(lab.databaseName('gravity'));
  const staging = lab.staging.client.db(lab.databaseName('gravity-staging'));
  const market = artMarket({ artworks });
  await Promise.all([fillArtMarket(production, market), fillArtMarket(staging, market)]);
  await takeTar(lab, production.databaseName, folder.path);
  await Promise.all([destroyPartner(production), destroyPartner(staging)]);

  const env = { STAGING_MONGODB_URI: lab.staging.uri, PRODUCTION_MONGODB_URI: lab.production.uri };
  const usual = planText({ production: production.databaseName, staging: staging.databaseName });
  const withDefaults = (options: PlanCommandOptions = {}): PlanCommandOptions => ({
    cwd: folder.path,
    ...options,
    env: { ...env, ...options.env },
  });
  const writePlan = (edit = (text: string) => text): void =>
    writeFileSync(join(folder.path, 'plan.yaml'), edit(usual));
  writePlan();
  return {
    folder: folder.path,
    staging,
    production,
    env,
    writePlan,
    run: (args, options) => runPlan(args, withDefaults(options)),
    call: (args, options) => callPlan(args, withDefaults(options)),
    start: (args, options) => startPlan(args, withDefaults(options)),
    close: () => folder.remove(),
  };
}

/** `db.tar` as a backup script leaves it, with a folder named after the host above the database's. */
export async function takeTar(lab: Lab, database: string, folder: string): Promise<void> {
  const dump = join(folder, 'dump', 'c0.example.net_27017');
  mkdirSync(dump, { recursive: true });
  await mongodump(lab.production.uri, ['--db', database, '--out', dump]);
  await tarFolder(join(folder, 'dump'), join(folder, 'db.tar'), { members: ['c0.example.net_27017'] });
}

function planText(databases: { readonly production: string; readonly staging: string }): string {
  return `version: 1
name: partner-57d17993
reason: Partner 57d17993 was destroyed by a support script.
source:
  database: ${databases.production}
  path: ./db.tar
collections:
  - collection: partners
    query: { _id: { $oid: ${LOST_PARTNER.toHexString()} } }
    dependents:
      - collection: artworks
        foreignKey: partner_id
        dependents:
          - collection: sale_artworks
            foreignKey: artwork_id
            references:
              - { field: sale_id, collection: sales }
targets:
  staging:
    uri: \${STAGING_MONGODB_URI}
    database: ${databases.staging}
  production:
    uri: \${PRODUCTION_MONGODB_URI}
    database: ${databases.production}
`;
}
