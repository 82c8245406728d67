import { invalid, notFound } from '../model/errors.ts';
import { platformText } from './registry-manifest.ts';

const architectures: Readonly<Record<string, string>> = { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', i386: '386', armhf: 'arm', armel: 'arm' };
const known = ['amd64', 'arm64', '386', 'arm', 'ppc64le', 's390x', 'riscv64', 'mips64le', 'mips64', 'loong64'];
const systems = ['linux', 'windows', 'darwin', 'freebsd'];

/** `linux/arm64/v8`, `linux`, `arm64`; nothing is this machine. */
export const parsePlatform = (text: string, here: string): { os: string; architecture: string; variant: string } => {
  if (text === '') return { os: 'linux', architecture: here, variant: '' };
  const [first = '', second, variant = '', ...more] = text.toLowerCase().split('/');
  const refuse = (why: string) => invalid(`${JSON.stringify(text)}: ${why}: invalid argument`);
  if (more.length > 0) throw refuse('cannot parse platform specifier');
  const wrong = text.split('/').find((component) => !/^[A-Za-z0-9_-]+$/.test(component));
  if (wrong !== undefined) throw invalid(`${JSON.stringify(wrong)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_-]+$": invalid argument`);
  if (second !== undefined) return { os: first, architecture: architecture(second), variant };
  if (systems.includes(first)) return { os: first, architecture: here, variant: '' };
  if (known.includes(architecture(first))) return { os: 'linux', architecture: architecture(first), variant: '' };
  throw refuse('unknown operating system or architecture');
};

/** An image that is here may be for another machine than was asked for; clients then pull. */
export const checkPlatform = (image: { readonly os: string; readonly architecture: string }, ref: string, asked: string, here: string): void => {
  if (asked === '') return;
  const wanted = parsePlatform(asked, here);
  if (image.os === wanted.os && image.architecture === wanted.architecture) return;
  throw notFound(`image with reference ${ref} was found but does not match the specified platform: wanted ${platformText(wanted)}, actual: ${platformText({ ...image, variant: '' })}`);
};

const architecture = (name: string): string => (Object.hasOwn(architectures, name) ? (architectures[name] ?? name) : name);
