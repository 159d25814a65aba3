// The lookup plugin for networks that fit a file: destinations, ARP, neighbour discovery and DHCP from one JSON object.
import { defineProperties, type LookupPlugin, OverlayError, type PropertyValues } from '@overlayadm/api';
import { FilesInstance } from './instance.ts';

const properties = defineProperties([
  {
    name: 'config',
    type: 'path',
    access: 'rw',
    required: true,
    summary: 'JSON file of overlay MAC addresses and their destinations, see overlay_files(5)',
    live: true,
  },
]);

const files: LookupPlugin = {
  kind: 'lookup',
  name: 'files',
  properties,
  create(needs, values, host) {
    if (needs.length === 0 || needs.includes('ethernet')) {
      throw new OverlayError('LOOKUP_CANNOT_SERVE', `files: cannot serve an encapsulation that needs ${needs.join(' and ') || 'nothing'}`, {
        details: { lookup: 'files', needs },
        advice: 'The file gives an IP address and a port; choose another lookup plugin for this encapsulation.',
      });
    }
    return new FilesInstance(needs, (values as PropertyValues<typeof properties>).config, host);
  },
};

export default files;
