/** Reads the families of broken plans (see README.md) and asks the program what is wrong with them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { faultsText, notesText } from '../../../src/plan/fault.ts';
import { readPlan } from '../../../src/plan/read-plan.ts';

export interface BrokenPlan {
  readonly title: string;
  /** The lines between title and expectation, as they are. */
  readonly given: string;
  readonly expected: string;
}

export interface Family {
  readonly name: string;
  readonly path: string;
  readonly introduction: string;
  readonly cases: readonly BrokenPlan[];
}

const EXPECTED = '---- expected\n';

export function families(): Family[] {
  const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'));
  return names.map((name) => {
    const path = join(import.meta.dirname, name);
    const [introduction = '', ...blocks] = readFileSync(path, 'utf8').split(/^## /m);
    const cases = blocks.map((block) => {
      const lineEnd = block.indexOf('\n');
      const [given = '', expected = ''] = block.slice(lineEnd + 1).split(EXPECTED);
      return { title: block.slice(0, lineEnd), given: withOneLineEnd(given), expected: expected.trim() };
    });
    return { name: name.replace('.txt', ''), path, introduction, cases };
  });
}

export function writeFamily(family: Family): void {
  const blocks = family.cases.map(
    ({ title, given, expected }) => `## ${title}\n${given}${EXPECTED}${expected}\n`,
  );
  writeFileSync(family.path, family.introduction + blocks.join('\n'));
}

const REST: readonly (readonly [key: string, line: string])[] = [
  ['version', 'version: 1'],
  ['name', 'name: test'],
  ['source', 'source: { database: gravity, path: ./dump }'],
  ['collections', 'collections: [{ collection: artworks, query: {} }]'],
  ['targets', `targets: { staging: { uri: "\${STAGING}", database: staging } }`],
];

/** The page for a broken plan; undefined when the program finds nothing wrong. */
export async function pageFor(broken: BrokenPlan): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'restore-plan-broken-'));
  try {
    const env: Record<string, string> = {
      STAGING: 'mongodb://localhost:27017',
      PRODUCTION: 'mongodb://db:27017',
    };
    const content = broken.given.replace(/^env: ([A-Z]+)=(.*)\n/gm, (_, name: string, value: string) => {
      env[name] = value.replaceAll('\\n', '\n');
      return '';
    });
    mkdirSync(join(folder, 'broken'));
    const plan = join(folder, 'broken', 'plan.yaml');
    for (const [name, text] of filesOf(content)) {
      const isPlan = name === 'plan.yaml' && !broken.title.startsWith('[whole]');
      writeFileSync(join(folder, 'broken', name), isPlan ? completed(text) : text);
    }
    const { faults, notes } = await readPlan(plan, { env, requireEnv: true });
    if (faults === undefined) return undefined;
    return (
      `${faultsText(faults, false)}${notesText(notes, false)}`
        .replaceAll(`${folder}/broken/`, '')
        // Which operators there are is the query engine's business and tested there.
        .replace(/(expected: one of \$\w+, ).*/g, '$1…')
        .trim()
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function filesOf(content: string): [name: string, text: string][] {
  const [first = '', ...others] = content.split(/^=== /m);
  const named = others.map((block): [string, string] => {
    const lineEnd = block.indexOf('\n');
    return [block.slice(0, lineEnd), block.slice(lineEnd + 1)];
  });
  return first.trim() === '' && named.length > 0 ? named : [['plan.yaml', first], ...named];
}

/** A base may hold the rest of the plan, so what it says is not repeated in the plan. */
function completed(text: string): string {
  const isThere = (key: string) => new RegExp(`^${key}:`, 'm').test(text);
  const isExtending = isThere('extends');
  const missing = REST.filter(([key]) => !isThere(key) && !(isExtending && key === 'source'));
  return `${text}${missing.map(([, line]) => `${line}\n`).join('')}`;
}

function withOneLineEnd(text: string): string {
  return `${text.replace(/\n+$/, '')}\n`;
}
