// Options that several of the changing commands have.
import { Flags } from '@oclif/core';

export const temporary = (summary: string) => Flags.boolean({ char: 't', default: false, summary });

export const verbose = Flags.boolean({ char: 'v', default: false, summary: 'Show what npm says.' });
