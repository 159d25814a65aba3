// The manual pages against what they describe: counters, limits, options and variables of the programs.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import vxlan from '../../plugins/vxlan/src/index.ts';
import { MUX_COUNTERS, PORT_COUNTERS } from '../../src/core/engine/counters.ts';
import { DIRECTORY_VARIABLES } from '../../src/core/util/directories.ts';
import * as limits from '../../src/core/util/limits.ts';
import { compileDecap } from '../../src/core/wire/header-format.ts';

const page = (name: string): string => readFileSync(new URL(`../../man/${name}`, import.meta.url), 'utf8');
const overlay = page('overlay.7');
const overlayd = page('overlayd.8');

/** The tags of the lists in a page, `.It Sy a , b` being two. */
const tags = overlay.match(/^\.It Sy .+$/gm)?.flatMap((line) => line.slice('.It Sy '.length).split(' , ')) ?? [];

describe('overlay(7)', () => {
  const formatCounters = compileDecap(vxlan.format, vxlan.name).dropReasons;
  // Counted by the overlay itself, outside the engine.
  const counters = [...PORT_COUNTERS, ...MUX_COUNTERS, ...formatCounters, 'lookup.wrong-destination'];

  it.each(counters)('explains the counter %s once', (counter) => {
    expect(tags.filter((tag) => tag === counter)).toHaveLength(1);
  });

  it('explains no counter that is not there', () => {
    expect(tags.filter((tag) => tag.includes('.') && !counters.includes(tag))).toEqual([]);
  });

  it.each([
    ['Waiting frames of one target', `${limits.MAX_QUEUED_BYTES_PER_TARGET / 1024} KiB`],
    ['Waiting frames of one overlay', `${limits.MAX_QUEUED_BYTES_PER_OVERLAY / 2 ** 20} MiB`],
    ['Waiting frames of all overlays', `${limits.MISS_POOL_BYTES / 2 ** 20} MiB`],
    ['Targets in the cache of one overlay', `${limits.MAX_TARGETS_PER_OVERLAY}`],
    ['Lookups that are out, one overlay', `${limits.MAX_LOOKUPS_PER_OVERLAY}`],
    ['Lookup without an answer', `${limits.LOOKUP_TIMEOUT_MS / 1000} s`],
    ['Refused target is not asked for again', `${limits.NEGATIVE_TTL_MS / 1000} s`],
    ['Questions that are out, one overlay', `${limits.MAX_QUESTIONS_PER_OVERLAY}`],
    ['Questions that are out, one MAC address', `${limits.MAX_QUESTIONS_PER_SOURCE}`],
    ['Guests that wait for one answer', `${limits.MAX_ASKERS_PER_QUESTION}`],
    ['Frame without encapsulation', `${limits.MAX_FRAME_BYTES} bytes`],
    ['mtu', `${limits.MTU.min}-${limits.MTU.max}, ${limits.MTU.default} by default`],
    ['Source ports of one listening address', `${limits.SEND_SOCKETS} of ${limits.SOURCE_PORTS.min}-${limits.SOURCE_PORTS.max}`],
    ['File that a plugin reads', `${limits.MAX_PLUGIN_FILE_BYTES / 2 ** 20} MiB`],
    ['Name of an overlay or VNIC', `${limits.MAX_LINK_NAME_BYTES} bytes`],
    ['Property value', `${limits.MAX_PROPERTY_BYTES} bytes, a path ${limits.MAX_PATH_BYTES}`],
    ['Degraded reason', `${limits.MAX_REASON_BYTES} bytes`],
  ])('gives the limit of "%s" as it is', (what, value) => {
    expect(overlay).toContain(`\n.It ${what} Ta ${value}\n`);
  });
});

describe('overlayd(8)', () => {
  it('has the options of the usage text', () => {
    const main = readFileSync(new URL('../../src/core/daemon/main.ts', import.meta.url), 'utf8');
    const options = main.match(/(?<=^ {2})--[a-z-]+/gm) ?? [];
    expect(options).toContain('--log-file');
    for (const option of options) expect(overlayd).toContain(`.It Fl -${option.slice(2)}\n`);
  });

  it.each(Object.values(DIRECTORY_VARIABLES))('has $variable with its default', ({ variable, fallback }) => {
    const section = overlayd.slice(overlayd.indexOf(`.It Ev ${variable}\n`));
    expect(section.slice(0, section.indexOf('\n.It', 1))).toContain(`.Pa ${fallback}\nwithout it`);
  });
});
