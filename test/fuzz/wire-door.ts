// Every function that looks into a frame, each over a frame between guards: checksums, segments, hashes, questions and answers.
import type { MacAddress } from '@overlayadm/api';
import { announcement, arpAnswer, dhcpRedirect, ndAnswer, readQuestion } from '../../src/core/proxy/answers.ts';
import { newFrameView, parseFrame } from '../../src/core/wire/ethernet.ts';
import { flowHash } from '../../src/core/wire/flow-hash.ts';
import { completeChecksum, findTransport, looksPartial, newTransportView, TcpSegmenter, type TransportView } from '../../src/core/wire/offload.ts';
import { classifyGroupFrame, isArpRequest, isDhcpReply, newQuestionView } from '../../src/core/wire/question.ts';
import { naiveChecksum } from '../unit/wire/frames.ts';
import { type Door, must } from './door.ts';
import { arbitraryFrame, mutantFrame } from './frames.ts';
import { guarded } from './guards.ts';

const MAC = '02:08:20:00:00:09' as MacAddress;
const MTUS = [60, 576, 1400] as const;

/** Does the transport of `view` hold a right checksum? RFC 1071 over the pseudo header and everything behind it. */
function isChecksumRight(bytes: Uint8Array, view: TransportView): boolean {
  const { family, ipAt, at, length, protocol } = view;
  const addresses = family === 4 ? bytes.subarray(ipAt + 12, ipAt + 20) : bytes.subarray(ipAt + 8, ipAt + 40);
  const sum = naiveChecksum([...addresses, 0, protocol, length >> 8, length & 255, ...bytes.subarray(at, at + length)]);
  return sum === 0 || sum === 65535;
}

function checksums(input: Uint8Array): void {
  const { memory, at, check } = guarded(input);
  const view = newTransportView();
  if (findTransport(memory, at, input.length, view)) {
    must(view.at >= at && view.at + view.length <= at + input.length, () => 'the transport reaches out of the frame');
    if (looksPartial(memory, view)) {
      completeChecksum(memory, view);
      must(isChecksumRight(memory, view), () => 'a checksum was finished wrongly');
    }
  }
  check();
}

function segments(input: Uint8Array, mtu: number): void {
  const { memory, at, check } = guarded(input);
  const segmenter = new TcpSegmenter();
  const whole = newTransportView();
  const payload: number[] = [];
  findTransport(memory, at, input.length, whole);
  const header = ((memory[whole.at + 12] ?? 0) >> 4) * 4;
  const wanted = memory.slice(whole.at + header, whole.at + whole.length);
  const count = segmenter.begin(memory, at, input.length, mtu);
  for (let index = 0; index < count; index++) {
    segmenter.segment(memory, index);
    const view = newTransportView();
    must(findTransport(memory, segmenter.at, segmenter.length, view), () => `segment ${index} is no TCP`);
    must(view.at + view.length - view.ipAt <= mtu, () => `segment ${index} does not fit ${mtu}`);
    must(isChecksumRight(memory, view), () => `segment ${index} has a wrong checksum`);
    payload.push(...memory.subarray(view.at + header, view.at + view.length));
  }
  must(count === 0 || Buffer.from(wanted).equals(Uint8Array.from(payload)), () => 'the segments together are another payload');
  check();
}

function questions(input: Uint8Array): void {
  const { memory, at, check } = guarded(input);
  const view = newQuestionView();
  for (const ask of [classifyGroupFrame, isArpRequest, isDhcpReply] as const) {
    const found = ask(memory, at, input.length, view);
    if (found === false || found === 'none') continue;
    must(view.keyAt >= at && view.keyAt + view.keyLength <= at + input.length, () => `${ask.name}: the key reaches out of the frame`);
  }
  parseFrame(memory, at, input.length, newFrameView());
  const hash = flowHash(memory, at, input.length);
  must(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 31, () => `a flow hash of ${hash}`);
  check();
}

/** An answer is asked of nobody again, and goes to the one who asked. */
function answers(input: Uint8Array): void {
  const question = readQuestion(input);
  const made = [arpAnswer(input, MAC), ndAnswer(input, MAC), dhcpRedirect(input, MAC)].filter((frame) => frame !== undefined);
  must(made.length === Number(question !== undefined), () => `${made.length} answers to ${JSON.stringify(question)}`);
  if (question === undefined || question.kind === 'dhcp') return;
  must(readQuestion(made[0] ?? input) === undefined, () => 'an answer is a question');
  must(Buffer.from(input.subarray(6, 12)).equals((made[0] ?? input).subarray(0, 6)), () => 'an answer goes to somebody else');
  announcement(question.ip, MAC, question.from, question.vlan);
}

const subject = {
  take(input: Uint8Array): void {
    checksums(input);
    segments(input, MTUS[input.length % MTUS.length] ?? 1400);
    questions(input);
    answers(input);
  },
  finish(): void {},
};

export const wireDoor: Door = { name: 'wire', batch: 256, short: 6_000, open: () => subject, mutant: mutantFrame, arbitrary: arbitraryFrame };
