// Lines come out of any pieces of bytes as they went in, and nothing beyond the bound does.
import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLine, encodeLine, LineSplitter, LineStream } from '../../../src/core/rpc/framing.ts';
import { MAX_LINE_BYTES } from '../../../src/core/util/limits.ts';

/** Cuts bytes at the given places, modulo their length. */
function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((at, i) => bytes.subarray(at, [...places, bytes.length][i]));
}

describe('LineSplitter', () => {
  it('gives the same lines, however the bytes are cut', () => {
    const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ' ').toWellFormed());
    fc.assert(
      fc.property(
        fc.array(line),
        fc.string().map((text) => text.replaceAll('\n', '')),
        fc.array(fc.nat()),
        (lines, rest, cuts) => {
          const bytes = Buffer.from(lines.map((text) => `${text}\n`).join('') + rest);
          const splitter = new LineSplitter();
          const found = pieces(bytes, cuts).flatMap((piece) => splitter.push(piece).lines);
          expect(found).toEqual(lines);
        },
      ),
    );
  });

  it('is total over any bytes and never gives a line beyond the bound', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        const splitter = new LineSplitter(16);
        for (const chunk of chunks) {
          const { lines } = splitter.push(chunk);
          expect(lines.every((text) => text.length <= 16)).toBe(true);
        }
      }),
    );
  });

  it('takes a line of exactly the bound and refuses one byte more, then everything', () => {
    expect(new LineSplitter(4).push(Buffer.from('abcd\n'))).toEqual({ lines: ['abcd'], overlong: false });
    const splitter = new LineSplitter(4);
    expect(splitter.push(Buffer.from('ab\nabcde\nab\n'))).toEqual({ lines: ['ab'], overlong: true });
    expect(splitter.push(Buffer.from('ab\n'))).toEqual({ lines: [], overlong: true });
  });

  it('keeps what has come of a line in little more than its length, in however many pieces it came', () => {
    const splitter = new LineSplitter();
    const before = process.memoryUsage();
    const piece = (): Uint8Array => Buffer.from('x');
    for (let n = 0; n < 200_000; n++) splitter.push(piece());
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(splitter.push(Buffer.from('\n')).lines[0]?.length).toBe(200_000);
    expect(grown).toBeLessThan(200_000 * 64);
  });

  it('refuses a line that is too long before its end is there', () => {
    const splitter = new LineSplitter(4);
    expect(splitter.push(Buffer.from('abc')).overlong).toBe(false);
    expect(splitter.push(Buffer.from('de')).overlong).toBe(true);
  });
});

describe('decodeLine', () => {
  it.each(['', '{', '[]', '1', 'null', '"x"', '{"a":1}x'])('refuses %j', (line) => expect(decodeLine(line)).toBeUndefined());

  it('is total', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void decodeLine(text)));
  });
});

describe('encodeLine', () => {
  it('is undone by splitter and decodeLine', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ noUnicodeString: false })), (message) => {
        const { lines } = new LineSplitter().push(Buffer.from(encodeLine(message)));
        expect(lines.map(decodeLine)).toEqual([JSON.parse(JSON.stringify(message))]);
      }),
    );
  });

  it('refuses what the peer would refuse', () => {
    expect(() => encodeLine({ a: 'xx' }, 9)).toThrow(
      expect.objectContaining({ code: 'RPC_LINE_TOO_LONG', message: 'message: 10 bytes, at most 9 fit' }),
    );
    expect(encodeLine({ a: 'xx' }, 10)).toBe('{"a":"xx"}\n');
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function pair() {
  const [a, b] = duplexPair();
  const log: unknown[] = [];
  const stream = new LineStream(a, { message: (message) => log.push(message), closed: (reason) => log.push(['closed', reason]) });
  return { stream, peer: b, log };
}

describe('LineStream', () => {
  it('sends what was said in one turn in one write', async () => {
    const { stream, peer } = pair();
    const chunks: string[] = [];
    peer.on('data', (chunk) => chunks.push(String(chunk)));
    stream.send({ n: 1 });
    stream.send({ n: 2 });
    await turn();
    expect(chunks).toEqual(['{"n":1}\n{"n":2}\n']);
  });

  it('closes once, and without a reason when the peer has ended', async () => {
    const { peer, log } = pair();
    peer.end('{"n":1}\n');
    await turn();
    expect(log).toEqual([{ n: 1 }, ['closed', undefined]]);
  });

  it('stops at a line that is no object: nothing behind it is heard', async () => {
    const { peer, log } = pair();
    peer.write('{"n":1}\nrubbish\n{"n":2}\n');
    await turn();
    expect(log).toEqual([{ n: 1 }, ['closed', 'a line that is not one JSON object']]);
  });

  it('stops at a line beyond the bound', async () => {
    const { peer, log } = pair();
    peer.write('x'.repeat(MAX_LINE_BYTES + 1));
    await turn();
    expect(log).toEqual([['closed', `a line of more than ${MAX_LINE_BYTES} bytes`]]);
  });

  it('sends what is left before it ends, and then nothing', async () => {
    const { stream, peer, log } = pair();
    let text = '';
    peer.on('data', (chunk) => {
      text += chunk;
    });
    stream.send({ last: true });
    stream.end();
    stream.send({ late: true });
    await turn();
    expect([text, log]).toEqual(['{"last":true}\n', []]);
  });

  it('has room again when the peer reads', async () => {
    const { stream, peer } = pair();
    stream.send({ data: 'x'.repeat(500_000) });
    let drained = false;
    const waiting = stream.drained().then(() => {
      drained = true;
    });
    await turn();
    expect([drained, stream.backlogBytes > 0]).toEqual([false, true]);
    peer.resume();
    await waiting;
    expect(stream.backlogBytes).toBe(0);
  });
});
