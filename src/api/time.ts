/** What Go shows for a time that never was. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** RFC3339Nano: no trailing zeros in the fraction. */
export const goTime = (time: string | undefined): string => {
  if (time === undefined) return ZERO_TIME;
  const dot = time.indexOf('.');
  return dot < 0 ? time : `${time.slice(0, dot)}${time.slice(dot, -1).replace(/\.?0+$/, '')}Z`;
};

/** The fraction always of nine digits, as log lines have it, so that they line up. */
export const fixedTime = (time: string): string => {
  const dot = time.indexOf('.');
  return dot < 0 ? `${time.slice(0, -1)}.000000000Z` : `${time.slice(0, -1).padEnd(dot + 10, '0')}Z`;
};

export const unixSeconds = (time: string): number => Math.floor(Date.parse(time) / 1000);

/** How long ago, as `docker ps` says it. */
export const humanDuration = (milliseconds: number): string => {
  const seconds = Math.floor(milliseconds / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(seconds / 3600 + 0.5);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(Math.floor(seconds / 3600) / 24 / 365)} years`;
};
