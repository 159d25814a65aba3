// Many overlays, targets and lookups on one host, made over the control socket; and how long overlayd lets others wait meanwhile.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Client } from '../../src/core/rpc/client.ts';
import { etherTypeOf, frame } from './scale-frames.ts';
import { type Host, waitFor } from './netns.ts';
import { counters, PATIENCE_MS } from './netns-overlay.ts';
