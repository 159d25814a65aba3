// The word to udev: only about the very link, and never a failure.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { announceMark } from '../../../src/core/linux/uevent.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

function link(name: string, index: number): string {
  const root = temporaryFolder();
  mkdirSync(join(root, name));
  writeFileSync(join(root, name, 'ifindex'), `${index}\n`);
  writeFileSync(join(root, name, 'uevent'), 'none');
  return root;
}

it('asks for a change event of the link', () => {
  const root = link('overlay0', 7);
  announceMark('overlay0', 7, root);
  expect(readFileSync(join(root, 'overlay0/uevent'), 'utf8')).toBe('change');
});

it('leaves another link of the name alone, as /sys of another network namespace may show it', () => {
  const root = link('overlay0', 7);
  announceMark('overlay0', 8, root);
  expect(readFileSync(join(root, 'overlay0/uevent'), 'utf8')).toBe('none');
});

it('does nothing where there is no such link', () => {
  expect(() => announceMark('overlay1', 7, temporaryFolder())).not.toThrow();
});
