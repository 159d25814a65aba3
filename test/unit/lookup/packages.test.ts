// Which folders a plugin host is let into, in the words that Node understands.
import { describe, expect, it } from 'vitest';
import { hostProgram, ownRoot, readGrants } from '../../../src/core/lookup/packages.ts';

describe('readGrants', () => {
  it.each([
    ['folders as they are', ['/a', '/b'], [], ['/a', '/b']],
    ['once', ['/a', '/a'], [], ['/a']],
    ['not inside others', ['/n/x', '/n', '/n/y/z'], [], ['/n']],
    ['also where one name begins the other', ['/n/x', '/n/xy'], [], ['/n/x', '/n/xy']],
    ['the folder around, where such a one is a link', ['/n/x', '/n/xy', '/m'], ['/n/x'], ['/n', '/m']],
    ['a link by itself', ['/n/x', '/n/y'], ['/n/x'], ['/n/x', '/n/y']],
  ])('gives %s', (_, folders, links, expected) => expect(readGrants(folders, (path) => links.includes(path))).toEqual(expected));
});

describe('hostProgram', () => {
  it('is beside overlayd, and may read nothing above the core', () => {
    const { main, folders } = hostProgram();
    expect(main).toBe(`${ownRoot()}/src/core/varpd/main.ts`);
    expect(folders[0]).toBe(`${ownRoot()}/src/core`);
    expect(folders).not.toContain(ownRoot());
  });
});
