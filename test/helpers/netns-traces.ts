// What overlayd could leave behind in a network namespace.
import { isAlive } from '../../tools/sweep.mjs';
import type { Namespace } from './netns.ts';
import { must } from './process.ts';

/** nft names the process that owns a table, and now and then fails to find its name. */
const withoutOwner = (text: string): string => text.replace(/ # progname .*/g, '');

/** Links with their details, tables of nftables, UDP sockets: equal before and after, when nothing was left. */
export async function traces(where: Namespace): Promise<readonly string[]> {
  const commands = [
    ['ip', '-d', 'link', 'show'],
    ['nft', 'list', 'ruleset'],
    ['ss', '-Huna'],
  ] as const;
  return Promise.all(commands.map(async ([command, ...args]) => withoutOwner((await where.must(command, args)).stdout)));
}

/** Processes in this namespace, without those that only wait to be reaped. */
export async function processesIn({ name }: Namespace): Promise<readonly number[]> {
  const { stdout } = await must('ip', ['netns', 'pids', name]);
  return stdout.split('\n').filter(Boolean).map(Number).filter(isAlive);
}
