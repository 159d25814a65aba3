// What the commands that change things print under --json is as the schema of each.

import type { Command } from '@oclif/core';
import { OverlayError } from '@overlayadm/api';
import { expect, it } from 'vitest';
import CreateOverlay from '../../src/commands/create-overlay.ts';
import CreateVnic from '../../src/commands/create-vnic.ts';
import DeleteOverlay from '../../src/commands/delete-overlay.ts';
import DeleteVnic from '../../src/commands/delete-vnic.ts';
import ModifyOverlay from '../../src/commands/modify-overlay.ts';
import ResetLinkprop from '../../src/commands/reset-linkprop.ts';
import SetLinkprop from '../../src/commands/set-linkprop.ts';
import UpOverlay from '../../src/commands/up-overlay.ts';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { schemaOf, violations } from '../helpers/json-schema.ts';
import { fakeDaemon } from './fake-daemon.ts';
import { runHere } from './in-process.ts';
import { VNICS } from './show-daemon.ts';

const [VNIC] = VNICS;
const busy = new OverlayError('OVERLAY_BUSY', 'failed to delete b: link busy (vnic0)', { advice: 'Delete vnic0.' });
const handlers: Partial<Handlers> = {
  'overlay.create': async () => ({ name: 'overlay0', warnings: ['mtu 1450 does not fit'] }),
  'overlay.delete': async ({ name }) => (name === 'b' ? Promise.reject(busy) : null),
  'overlay.up': async () => ({
    up: ['overlay0'],
    failed: [{ name: 'overlay1', code: 'PROVIDER_UNKNOWN', message: 'overlay1: no such plugin', details: { name: 'svp' }, advice: 'Install it.' }],
    warnings: [],
  }),
  'vnic.create': async () => VNIC ?? Promise.reject(busy),
  'vnic.delete': async () => null,
  'target.flush': async () => null,
  'linkprop.set': async () => ({ warnings: ['the MTU does not fit'] }),
  'linkprop.reset': async () => ({ warnings: [] }),
};

it.each([
  { name: 'create-overlay', command: CreateOverlay, args: '-e vxlan -s direct -v 1', schema: 'create-overlay', status: 0 },
  { name: 'create-vnic', command: CreateVnic, args: '-l overlay0 vnic0', schema: 'create-vnic', status: 0 },
  { name: 'delete-overlay', command: DeleteOverlay, args: 'a b', schema: 'delete', status: 1 },
  { name: 'delete-vnic', command: DeleteVnic, args: 'vnic0', schema: 'delete', status: 0 },
  { name: 'modify-overlay', command: ModifyOverlay, args: '-f overlay0', schema: 'modify-overlay', status: 0 },
  { name: 'set-linkprop', command: SetLinkprop, args: '-p mtu=1400 overlay0', schema: 'linkprop', status: 0 },
  { name: 'reset-linkprop', command: ResetLinkprop, args: 'overlay0', schema: 'linkprop', status: 0 },
  { name: 'up-overlay', command: UpOverlay, args: '', schema: 'up-overlay', status: 1 },
])('$name', async ({ command, args, schema, status: expected }) => {
  await using daemon = await fakeDaemon({ handlers });
  const words = [...args.split(' ').filter(Boolean), '--json'];
  const { status, stdout } = await runHere(command as unknown as typeof Command, words, { OVERLAYADM_RUN_DIR: daemon.run });
  expect({ status, violations: violations(JSON.parse(stdout), schemaOf(schema)) }).toEqual({ status: expected, violations: [] });
});
