// JSON from strangers, without a stream around it: lines, messages of plugin hosts, header formats, mapping files.
import type { HeaderFormat } from '@overlayadm/api';
import vxlan from '@overlayadm/plugin-vxlan';
import fc from 'fast-check';
import { differences, parseMappings } from '../../plugins/files/src/mappings.ts';
import { OverlayError } from '../../src/core/rpc/errors.ts';
import { decodeLine, LineSplitter } from '../../src/core/rpc/framing.ts';
import { checkParams, paramsOf } from '../../src/core/rpc/schemas.ts';
import { HEADROOM_BYTES, MAX_REASON_BYTES } from '../../src/core/util/limits.ts';
import { checkFromHost, checkProviderTable, checkToHost } from '../../src/core/varpd/protocol.ts';
import { writeBits } from '../../src/core/wire/bits.ts';
import { checkFormat, compileDecap, compileHeader, decap, writeEntropy } from '../../src/core/wire/header-format.ts';
import { type Door, must } from './door.ts';
import { guarded } from './guards.ts';
import { CHANNEL_SEEDS, FORMAT_SEEDS, JSON_WORDS, MAPPING_SEEDS, RPC_SEEDS } from './json-seeds.ts';
import { mutateJson, utf8 } from './mutate.ts';

const arbitraryOf = (seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc.oneof(fc.json().map(utf8), fc.string({ unit: 'binary' }).map(utf8), fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...seeds));

const pure = (name: string, short: number, seeds: readonly Uint8Array[], take: (input: Uint8Array) => void): Door => ({
  name,
  batch: 256,
  short,
  open: () => ({ take, finish: () => {} }),
  mutant: (random) => mutateJson(seeds, JSON_WORDS, random),
  arbitrary: arbitraryOf(seeds),
});

const SPLIT_BYTES = 300;

/** However it is cut into chunks, the same lines come out, and never one beyond the bound. */
function lines(input: Uint8Array): void {
  const all = new LineSplitter(SPLIT_BYTES).push(input);
  const pieces = new LineSplitter(SPLIT_BYTES);
  const size = 1 + (input.length % 7);
  const found: string[] = [];
  let overlong = false;
  for (let at = 0; at < input.length; at += size) {
    const split = pieces.push(input.subarray(at, at + size));
    found.push(...split.lines);
    overlong = split.overlong;
  }
  must(overlong === all.overlong && found.join('\n') === all.lines.join('\n'), () => 'chunks make a difference');
  const longest = Math.max(
    0,
    ...Buffer.from(input)
      .toString('latin1')
      .split('\n')
      .map((line) => line.length),
  );
  must(overlong === longest > SPLIT_BYTES, () => `overlong is ${overlong}, the longest line has ${longest} bytes`);
  for (const line of found) parameters(line);
}

function parameters(line: string): void {
  const message = decodeLine(line);
  if (message === undefined) return;
  for (const method of Object.keys(paramsOf) as (keyof typeof paramsOf)[]) {
    try {
      checkParams(method, message.params ?? message);
    } catch (error) {
      must(OverlayError.is(error) && error.code === 'RPC_INVALID', () => `${method}: ${error}`);
    }
  }
}

/** What passes the door is the same when it crosses it again; what does not is told in a bounded sentence without control characters. */
function messages(input: Uint8Array): void {
  const message = decodeLine(Buffer.from(input).toString());
  for (const check of [checkFromHost, checkToHost, checkProviderTable] as const) {
    const checked = check(message);
    if (checked.ok) {
      must(check(JSON.parse(JSON.stringify(checked.value))).ok, () => `${check.name}: it takes what it then refuses`);
      continue;
    }
    must(Buffer.byteLength(checked.reason) <= MAX_REASON_BYTES && !/\p{Cc}/u.test(checked.reason), () => `${check.name}: ${checked.reason}`);
  }
}

/** A format that passes can be run over any packet. */
function formats(input: Uint8Array): void {
  const value = parsed(input) as { readonly format?: unknown; readonly vnetid?: { readonly max?: number } } | null | undefined;
  if (checkFormat(value?.format, value?.vnetid) !== undefined) return;
  const format = value?.format as HeaderFormat;
  const vnetid = value?.vnetid?.max ?? 0;
  const header = compileHeader(format, vnetid);
  const compiled = compileDecap(format, 'fuzz');
  must(header.length === format.template.length && header.length <= HEADROOM_BYTES, () => `a header of ${header.length} bytes`);
  const own = guarded(header);
  const out = new Uint32Array(1);
  writeEntropy(format.entropy, own.memory, own.at, 0xffff_ffff);
  must(decap(compiled, own.memory, own.at, header.length, out) === header.length && out[0] === vnetid, () => 'its own header is refused');
  own.check();
  // Its own header, with a length that lies, before whatever came.
  const packet = new Uint8Array(Buffer.concat([header, input.subarray(0, HEADROOM_BYTES)]));
  if (format.length.kind === 'counted') writeBits(packet, 0, format.length.count, input.length);
  for (let length = 0; length <= packet.length; length += 5) {
    const { memory, at, check } = guarded(packet.subarray(0, length));
    const found = decap(compiled, memory, at, length, out);
    must(found <= length && found >= -compiled.dropReasons.length, () => `a header of ${found} in ${length} bytes`);
    check();
  }
}

function parsed(input: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(input).toString());
  } catch {
    return undefined;
  }
}

const EMPTY = { entries: new Map(), owners: new Map() } as const;

/** What it takes is JSON for everybody else too; what it refuses has a line that is there, and a text that quotes nothing. */
function mappings(input: Uint8Array): void {
  const reading = parseMappings(input, ['ip', 'port'], 4789);
  if (reading.kind === 'error') {
    const last = Buffer.from(input).toString('latin1').split('\n').length;
    must(reading.line >= 1 && reading.line <= last, () => `line ${reading.line} of ${last}`);
    must(/^[ -~]{1,120}$/.test(reading.problem), () => `it says ${reading.problem}`);
    return;
  }
  const text = new TextDecoder().decode(input);
  const there = Object.keys(JSON.parse(text) as object).length;
  must(reading.mappings.entries.size <= there, () => `${reading.mappings.entries.size} entries of ${there}`);
  const { set, removed } = differences(EMPTY, reading.mappings);
  must(set.length === reading.mappings.entries.size && removed.length === 0, () => 'not every entry is new beside an empty file');
  must(differences(reading.mappings, reading.mappings).set.length === 0, () => 'a file differs from itself');
}

export const jsonDoors: readonly Door[] = [
  pure('lines', 4_000, RPC_SEEDS, lines),
  pure('messages', 4_000, CHANNEL_SEEDS, messages),
  pure('formats', 4_000, [...FORMAT_SEEDS, utf8(JSON.stringify({ format: vxlan.format, vnetid: vxlan.vnetid }))], formats),
  pure('mappings', 5_000, MAPPING_SEEDS, mappings),
];
