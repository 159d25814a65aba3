// Who may do what: root, overlayd's own user, and two groups of which a missing one gives nobody anything.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupId, OPERATORS, READERS, roleOf } from '../../../src/core/daemon/roles.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const ids: Readonly<Record<string, number>> = { [READERS]: 100, [OPERATORS]: 200 };
const both = (name: string): number | undefined => ids[name];
const who = (uid: number, gid: number, ...groups: number[]) => ({ pid: 1, uid, gid, groups });

describe('roleOf', () => {
  it.each([
    ['root', who(0, 0), 'change'],
    ["overlayd's own user", who(1000, 1000), 'change'],
    ['an operator', who(1, 1, 200), 'change'],
    ['an operator by primary group', who(1, 200), 'change'],
    ['an operator who is a reader too', who(1, 1, 100, 200), 'change'],
    ['a reader', who(1, 1, 5, 100), 'read'],
    ['a reader by primary group', who(1, 100), 'read'],
    ['anybody else', who(1, 1, 5), 'none'],
    ['somebody in the group root', who(1, 0, 0), 'none'],
  ] as const)('lets %s %o: %s', (_who, credentials, role) => {
    expect(roleOf(credentials, 1000, both)).toBe(role);
  });

  it('gives nobody anything for a group that is not there', () => {
    const none = (): undefined => undefined;
    expect(roleOf(who(1, 1, 100, 200), 0, none)).toBe('none');
    expect(roleOf(who(0, 0), 0, none)).toBe('change');
  });
});

describe('groupId', () => {
  const file = join(temporaryFolder(), 'group');
  writeFileSync(file, 'root:x:0:\noverlayadm-operator:x:200:ann,bob\nxoverlayadm:x:7:\noverlayadm:x:100:\nbad:x:-1:\nshort\nempty:x::\n');

  it.each([
    ['overlayadm', 100],
    ['overlayadm-operator', 200],
    ['root', 0],
    ['nosuch', undefined],
    ['bad', undefined],
    ['short', undefined],
    ['empty', undefined],
  ])('of %s is %s', (name, id) => expect(groupId(name, file)).toBe(id));

  it('is none where there is no such file', () => expect(groupId('root', '/nonexistent/group')).toBeUndefined());
});
