// A process that writes records of one overlay until it is killed; says so once the first one is there.
// The built files: a process of its own has nobody who makes older syntax of "await using" for Node.js 22.
import { StateFiles } from '../../dist/core/overlay/state-files.js';
import { overlayRecord, vnicRecord } from './overlay-record.ts';

const [, , folder = '', first = '0'] = process.argv;
const files = new StateFiles({ run: folder, state: folder });
const vnics = Array.from({ length: 200 }, (_, index) => vnicRecord(`vnic${index}`));

for (let id = Number(first); ; id++) {
  await files.write('saved', overlayRecord('overlay0', { id, vnics: vnics.slice(0, id % vnics.length) }));
  if (id === Number(first)) process.send?.('writing');
}
