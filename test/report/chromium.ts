/**
 * A real headless Chromium: the one on the machine (`CHROMIUM` names another), or Debian's package, installed when we may.
 * Playwright's own downloads are not used.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const INSTALL_MS = 240_000;

/** Undefined where there is one. */
export function whyNoBrowser(): string | undefined {
  if (findChromium() !== undefined || (installChromium() && findChromium() !== undefined)) return undefined;
  return 'no Chromium here: install the package chromium, or name one in CHROMIUM';
}

/** The caller closes it. */
export async function openBrowser(): Promise<Browser> {
  const program = findChromium();
  if (program === undefined) throw new Error(whyNoBrowser());
  return chromium.launch({ executablePath: program, args: ARGUMENTS });
}

function findChromium(): string | undefined {
  const places = [
    process.env['CHROMIUM'],
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ];
  return places.find((place) => place !== undefined && existsSync(place));
}

/** One test file at a time: dpkg and apt refuse a second run beside the first. */
function installChromium(): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return false;
  const install = 'apt-get install -y --no-install-recommends chromium fonts-dejavu-core';
  const script = `command -v chromium || ${install} || (apt-get update && ${install})`;
  const { status } = spawnSync('flock', [join(tmpdir(), 'restore-plan-apt.lock'), 'sh', '-c', script], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: 'ignore',
    timeout: INSTALL_MS,
  });
  return status === 0;
}
