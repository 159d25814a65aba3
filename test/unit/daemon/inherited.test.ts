// What a program inherits is found and closed, and nothing else.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const module = fileURLToPath(new URL('../../../src/core/daemon/inherited.ts', import.meta.url));
const script = `
  const { inheritable, closeInherited } = await import(${JSON.stringify(module)});
  const found = inheritable().filter((fd) => fd === 150 || fd === 200);
  closeInherited([150, 201]);
  console.log(JSON.stringify({ found, left: inheritable() }));
`;

// Node itself takes care of the first sixteen.
it('closes descriptors that somebody left open, but for those to keep', () => {
  const file = openSync('/etc/passwd', 'r');
  const descriptors = Array.from({ length: 201 }, (_, fd) => (fd === 1 || fd === 2 ? 'pipe' : fd === 150 || fd === 200 ? file : 'ignore'));
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', stdio: descriptors });
  closeSync(file);
  expect([stderr, JSON.parse(stdout)]).toEqual(['', { found: [150, 200], left: [150] }]);
});
