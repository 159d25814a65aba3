// Can another user reach a file? Answered from mode bits before that user is needed, with the name of what stands in the way.
import { realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '@overlayadm/api';

export interface User {
  readonly uid: number;
  readonly gid: number;
}

const READ = 4;
const SEARCH = 1;

const allows = ({ mode, uid, gid }: Stats, user: User, bit: number): boolean => {
  const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0;
  return user.uid === 0 || ((mode >> shift) & bit) !== 0;
};

function* foldersAbove(path: string): Generator<string> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    yield folder;
    if (folder === dirname(folder)) return;
  }
}

/** The folder or file that keeps `user` from reading `path`, or what is wrong with the path itself; undefined when it can be read. */
export function whyNotReadable(path: string, user: User): string | undefined {
  try {
    const real = realpathSync(path);
    for (const folder of [...foldersAbove(real)].reverse()) if (!allows(statSync(folder), user, SEARCH)) return folder;
    const stats = statSync(real);
    return allows(stats, user, READ) && (!stats.isDirectory() || allows(stats, user, SEARCH)) ? undefined : real;
  } catch (error) {
    return messageOf(error);
  }
}
