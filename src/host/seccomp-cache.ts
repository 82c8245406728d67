import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Json, JsonObject } from '../model/json.ts';

/**
 * Compiling a seccomp profile to the kernel's own form costs crun as much as everything else it does for a start.
 * It leaves the result in its state directory while the container runs: kept by the profile's digest, and handed back
 * the next time.
 */
export type SeccompCache = {
  /** The spec with its profile in compiled form, if that is known for this runtime. */
  apply(spec: JsonObject, runtime: string): JsonObject;
  /** Keeps what the runtime compiled for a container that has just begun. */
  learn(spec: JsonObject, runtime: string, stateDirectory: string): void;
};

/** crun's own annotation, never taken from a client. */
const ANNOTATION = 'run.oci.seccomp_bpf_data';

export const createSeccompCache = (execRoot: string): SeccompCache => {
  const directory = path.join(execRoot, 'seccomp');
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const compiled = new Map<string, string | undefined>();
  const digests = new WeakMap<object, string>();

  const digestOf = (profile: Json): string => {
    if (typeof profile !== 'object' || profile === null) return '';
    const known = digests.get(profile);
    if (known !== undefined) return known;
    const digest = crypto.createHash('sha256').update(JSON.stringify(profile)).digest('hex');
    digests.set(profile, digest);
    return digest;
  };
  const load = (digest: string): string | undefined => {
    if (!compiled.has(digest)) {
      const file = path.join(directory, digest);
      compiled.set(digest, fs.existsSync(file) ? fs.readFileSync(file).toString('base64') : undefined);
    }
    return compiled.get(digest);
  };
  const profileOf = (spec: JsonObject): Json => (spec['linux'] as JsonObject | undefined)?.['seccomp'] ?? null;

  return {
    apply(spec, runtime) {
      const profile = profileOf(spec);
      const bytes = profile === null || runtime !== 'crun' ? undefined : load(digestOf(profile));
      return bytes === undefined ? spec : { ...spec, annotations: { ...(spec['annotations'] as JsonObject | undefined), [ANNOTATION]: bytes } };
    },
    learn(spec, runtime, stateDirectory) {
      const profile = profileOf(spec);
      if (profile === null || runtime !== 'crun') return;
      const digest = digestOf(profile);
      if (load(digest) !== undefined) return;
      try {
        const bytes = fs.readFileSync(path.join(stateDirectory, 'seccomp.bpf'));
        if (bytes.length === 0 || bytes.length % 8 !== 0) return;
        const file = path.join(directory, digest);
        fs.writeFileSync(`${file}.new`, bytes, { mode: 0o600 });
        fs.renameSync(`${file}.new`, file);
        compiled.set(digest, bytes.toString('base64'));
      } catch {
        // The container has ended already, and its state is gone: the next one will tell.
      }
    },
  };
};
