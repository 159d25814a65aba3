// `npm run demo`: two hosts on one machine talk over an overlay, then one of them is replaced by a kernel VXLAN device.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Interrupted, isInPath, missing, Stage } from './demo/stage.mjs';
import { node, root, run } from './lib.mjs';

const VNETID = '100';
// What each guest is inside the overlay.
const GUESTS = { a: { mac: '02:08:20:00:00:01', ip: '10.0.0.1' }, b: { mac: '02:08:20:00:00:02', ip: '10.0.0.2' } };

const PICTURE = `
  guest of a                                          guest of b
  10.0.0.1 on vnic0                             10.0.0.2 on vnic0
      |                                                   |
  overlay0  ====== VXLAN, virtual network 100 ======  overlay0
      |                                                   |
  host a, 192.0.2.1  --- underlay: a veth pair ---  host b, 192.0.2.2

Hosts and guests are network namespaces. "a#" is typed on host a, "b#" on host b, "#" on the machine under both.
Each host has its own OVERLAYADM_RUN_DIR, OVERLAYADM_STATE_DIR, OVERLAYADM_DATA_DIR and OVERLAYADM_CONFIG_DIR.
`;

const mappings = (a, b) =>
  `${JSON.stringify({ [GUESTS.a.mac]: { ip: a.address, arp: GUESTS.a.ip }, [GUESTS.b.mac]: { ip: b.address, arp: GUESTS.b.ip } }, undefined, 2)}\n`;

async function makeOverlay(stage, host, guest, { mac, ip }, text) {
  const config = await host.write('map.json', text);
  const properties = `vxlan/listen_ip=${host.address},files/config=${config}`;
  // Nobody has started overlayd: the command does.
  await host.run('overlayadm', 'create-overlay', '-e', 'vxlan', '-s', 'files', '-v', VNETID, '-p', properties);
  await host.run('overlayadm', 'create-vnic', '-l', 'overlay0', '-m', mac, '-p', `netns=${guest}`, 'vnic0');
  await stage.run('#', ['ip', '-n', guest, 'address', 'add', `${ip}/24`, 'dev', 'vnic0']);
}

async function show(host) {
  for (const options of [['show-overlay'], ['show-overlay', '-t'], ['show-overlay', '-f'], ['show-vnic']]) await host.run('overlayadm', ...options);
}

/** A TCP transfer from guest to guest, and its rate. */
async function transfer(a, b, guestA, guestB) {
  const in_ = (guest, ...command) => ['ip', 'netns', 'exec', guest, ...command];
  const own = [node, join(root, 'tools/demo/transfer.mjs')];
  const server = isInPath('iperf3') ? ['iperf3', '-s', '-1', '--forceflush'] : [...own, 'receive'];
  const client = isInPath('iperf3') ? ['iperf3', '-c', GUESTS.b.ip, '-t', '2', '-i', '0', '-f', 'm'] : [...own, 'send', GUESTS.b.ip];
  await b.background(in_(guestB, ...server), 'listening');
  await a.run(...in_(guestA, ...client));
}

async function firstAct(stage, a, b, guestA, guestB) {
  stage.say('\n--- Two hosts, one overlay\n');
  const text = mappings(a, b);
  await makeOverlay(stage, a, guestA, GUESTS.a, text);
  await makeOverlay(stage, b, guestB, GUESTS.b, text);
  stage.say('');
  await a.run('ip', 'netns', 'exec', guestA, 'ping', '-c', '3', '-i', '0.2', GUESTS.b.ip);
  await transfer(a, b, guestA, guestB);
  for (const host of [a, b]) {
    stage.say('');
    await show(host);
  }
}

async function secondAct(stage, a, b, guestA) {
  stage.say('\n--- The same overlay with a plain kernel VXLAN device in the place of host b\n');
  await b.run('overlayadm', 'delete-vnic', 'vnic0');
  await b.run('overlayadm', 'delete-overlay', 'overlay0');
  const device = ['type', 'vxlan', 'id', VNETID, 'local', b.address, 'remote', a.address, 'dstport', '4789'];
  await b.run('ip', 'link', 'add', 'vxlan100', 'address', GUESTS.b.mac, 'mtu', '1400', ...device);
  await b.run('ip', 'address', 'add', `${GUESTS.b.ip}/24`, 'dev', 'vxlan100');
  await b.run('ip', 'link', 'set', 'vxlan100', 'up');
  await a.run('ip', 'netns', 'exec', guestA, 'ping', '-c', '3', '-i', '0.2', GUESTS.b.ip);
  await b.run('ping', '-c', '3', '-i', '0.2', GUESTS.a.ip);
}

async function play(stage) {
  stage.say(PICTURE);
  const [a, b] = [await stage.host('a'), await stage.host('b')];
  const [guestA, guestB] = [await stage.namespace('guesta'), await stage.namespace('guestb')];
  await stage.connect(a, b);
  await firstAct(stage, a, b, guestA, guestB);
  await secondAct(stage, a, b, guestA);
}

/** @returns the exit status */
async function main() {
  const needs = missing();
  if (needs.length > 0) {
    console.error(`demo: needs ${needs.join(', ')}`);
    return 1;
  }
  if (!existsSync(join(root, 'dist/core/daemon/main.js')) && run(node, ['tools/build.mjs']) !== 0) return 1;
  // Before there is anything to clear up; a signal is told in a later turn, when there is a stage.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stage.interrupt(signal));
  // "npm run demo | head": nobody reads any more.
  process.stdout.on('error', () => stage.interrupt('its output was closed'));
  const stage = new Stage();
  let failure;
  try {
    await play(stage);
  } catch (error) {
    failure = error;
  }
  await stage.clear();
  if (failure === undefined) {
    stage.say('\nNothing is left: processes, namespaces with their links, and files are gone.');
    return 0;
  }
  console.error(failure instanceof Interrupted ? `\ndemo: stopped (${failure.message}); nothing is left` : `\ndemo: ${failure.message}`);
  return 1;
}

process.exitCode = await main();
