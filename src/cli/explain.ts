import { UsageError, type Call, type Command } from './command.ts';

const show = async ({ connection, terminal }: Call, method: string, path: string, body?: object): Promise<void> => {
  const { Operations } = (await connection.json(method, `/berth/explain${path}`, body)) as { readonly Operations: readonly string[] };
  terminal.stdout.write(Operations.map((line) => `${line}\n`).join(''));
};

/** So many words, each as it may stand in a path. */
const named = ({ words }: Call, ...names: readonly string[]): string[] => {
  if (words.length !== names.length) throw new UsageError(`${names.join(' ')} expected`);
  return words.map((word) => (word === '' ? fail('a name is empty') : encodeURIComponent(word)));
};

const fail = (why: string): never => {
  throw new UsageError(why);
};

const details = `
Prints, a line each, what would be added to the host (+) and removed from it (-): bridges, namespaces, veth pairs, addresses,
rules, ports, mounts. Nothing is done. What is chosen by chance may come out otherwise when it is.`;

const command = (words: string, form: string, summary: string, run: Command['run'], options: Command['options'] = {}): Command => ({
  words: `explain ${words}`,
  forms: [form],
  summary,
  options,
  details,
  run,
});

export const explainCommands: readonly Command[] = [
  command('start', 'CONTAINER', 'what starting a container would do to the host', (call) => show(call, 'POST', `/containers/${named(call, 'CONTAINER')[0]}/start`)),
  command('stop', 'CONTAINER', 'what stopping a container would do to the host', (call) => show(call, 'POST', `/containers/${named(call, 'CONTAINER')[0]}/stop`)),
  command(
    'rm', 'CONTAINER', 'what removing a container would do to the host',
    (call) => show(call, 'DELETE', `/containers/${named(call, 'CONTAINER')[0]}?force=${call.flag('force')}&v=${call.flag('volumes')}`),
    { force: { short: 'f', about: 'though it runs' }, volumes: { short: 'v', about: 'with the volumes that nobody else uses' } },
  ),
  command(
    'network create', 'NETWORK', 'what creating a network would do to the host',
    (call) => {
      const subnet = call.text('subnet');
      named(call, 'NETWORK');
      return show(call, 'POST', '/networks/create', {
        Name: call.words[0],
        Internal: call.flag('internal'),
        EnableIPv6: call.flag('ipv6'),
        ...(subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: subnet }] } }),
      });
    },
    { subnet: { value: 'CIDR', about: 'its subnet' }, internal: { about: 'without a way out' }, ipv6: { about: 'with IPv6' } },
  ),
  command('network rm', 'NETWORK', 'what removing a network would do to the host', (call) => show(call, 'DELETE', `/networks/${named(call, 'NETWORK')[0]}`)),
  command('network connect', 'NETWORK CONTAINER', 'what connecting a container would do to the host', (call) => {
    const [network] = named(call, 'NETWORK', 'CONTAINER');
    return show(call, 'POST', `/networks/${network}/connect`, { Container: call.words[1] });
  }),
  command('network disconnect', 'NETWORK CONTAINER', 'what disconnecting a container would do to the host', (call) => {
    const [network] = named(call, 'NETWORK', 'CONTAINER');
    return show(call, 'POST', `/networks/${network}/disconnect`, { Container: call.words[1] });
  }),
];
