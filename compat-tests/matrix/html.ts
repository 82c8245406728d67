// The matrix as one page that needs nothing else.

import type { Outcome, Report, Result } from './run.ts';
import { endpointCount, grouped, totals } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --line: #d9d9e0; --paper: #fff; --good: #218358; --bad: #ce2c31; --gone: #ab6400; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --line: #363a3f; --paper: #18191b; --good: #3dd68c; --bad: #ff9592; --gone: #ffca16; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.25rem 0 .25rem; } p { margin: .25rem 0; color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; } th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.supported { color: var(--good); } .differs { color: var(--bad); } .missing { color: var(--gone); } .other { color: var(--soft); }
td:last-child { white-space: nowrap; } small { display: block; color: var(--soft); overflow-wrap: anywhere; }
nav a { color: inherit; margin-right: .9rem; }`;

const className = (outcome: Outcome) => (['supported', 'differs', 'missing'].includes(outcome) ? outcome : 'other');
const escaped = (text: string) => text.replace(/[&<>"]/g, each => `&#${each.charCodeAt(0)};`);
const counts = (results: readonly Result[]) =>
  Object.entries(totals(results)).filter(([, count]) => count > 0).map(([outcome, count]) => `<span class="${className(outcome as Outcome)}">${count} ${outcome}</span>`).join(', ');

const row = ({ endpoint, behaviour, outcome, how }: Result, first: boolean) =>
  `<tr><td>${first ? `<code>${escaped(endpoint)}</code>` : ''}</td><td>${escaped(behaviour)}${how === '' ? '' : `<small>${escaped(how)}</small>`}</td><td class="${className(outcome)}">${outcome}</td></tr>`;

const section = ([resource, results]: readonly [string, readonly Result[]]) => `
<h2 id="${resource.replaceAll(' ', '-')}">${escaped(resource)}</h2>
<p>${results[0]?.own ? 'No part of Docker’s API. ' : ''}${counts(results)}</p>
<table>${grouped(results, ({ endpoint }) => endpoint).flatMap(([, ofEndpoint]) => ofEndpoint.map((each, at) => row(each, at === 0))).join('\n')}</table>`;

export function asHtml({ engine, results }: Report): string {
  const docker = results.filter(({ own }) => !own);
  const sections = grouped(results, ({ resource }) => resource);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Docker API: ${escaped(engine.name)} ${escaped(engine.version)}</title><style>${STYLE}</style></head>
<body>
<h1>${escaped(engine.name)} ${escaped(engine.version)}</h1>
<p>API ${escaped(engine.apiVersion)}, Linux ${escaped(engine.kernel)}. ${endpointCount(docker)} endpoints, ${docker.length} behaviours: ${counts(docker)}.</p>
<nav>${sections.map(([resource]) => `<a href="#${resource.replaceAll(' ', '-')}">${escaped(resource)}</a>`).join('')}</nav>
${sections.map(section).join('\n')}
</body>
</html>
`;
}
