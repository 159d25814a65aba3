// Every door at which bytes of strangers come in.
import type { Door } from './door.ts';
import { fdbDoor } from './fdb-door.ts';
import { jsonDoors } from './json-doors.ts';
import { muxDoors } from './mux-doors.ts';
import { netlinkDoor } from './netlink-door.ts';
import { puntDoor } from './punt-door.ts';
import { snapshotDoor } from './snapshot-door.ts';
import { streamDoors } from './stream-doors.ts';
import { tapDoor } from './tap-door.ts';
import { wireDoor } from './wire-door.ts';

export const doors: readonly Door[] = [...muxDoors, tapDoor, puntDoor, wireDoor, netlinkDoor, fdbDoor, snapshotDoor, ...jsonDoors, ...streamDoors];
