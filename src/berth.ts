#!/usr/bin/env node
import { program } from './cli/program.ts';
import { terminal } from './cli/terminal.ts';

/** berth: what berthd can do and Docker's CLI has no words for. */
process.exitCode = await program(process.argv.slice(2), terminal());
