export type Protocol = 'tcp' | 'udp' | 'sctp';

/** An exposed port: `8080/tcp`. */
export type ExposedPort = { readonly port: number; readonly protocol: Protocol };

/**
 * A port binding as a client asks for it: host address ('' = every address) and a range of host ports
 * (undefined = any free one) for one container port.
 */
export type PortRequest = ExposedPort & {
  readonly hostAddress: string;
  readonly hostPorts: { readonly first: number; readonly last: number } | undefined;
};

/** A published port: where it is reached on the host, and where the packets go. Host port 0: at the container's own address. */
export type PortBinding = ExposedPort & { readonly hostAddress: string; readonly hostPort: number };

export const exposedPort = (port: ExposedPort): string => `${port.port}/${port.protocol}`;
