import type { EmailContent } from './email-content.js'

/** The text and HTML parts of an email, with the same content. */
export type RenderedEmail = { readonly text: string; readonly html: string }

/** Renders an email as text and as HTML. HTML escapes names and descriptions. */
export async function renderEmail(content: EmailContent): Promise<RenderedEmail> {
  // Loaded with the first email: most gates send few, and the library takes memory.
  const { Eta } = await import('eta')
  return { text: textOf(content), html: new Eta({ autoEscape: true }).renderString(HTML, content) }
}

function textOf({ greeting, opening, tokens, more, advice, link, closing }: EmailContent): string {
  const paragraphs = [
    greeting,
    opening,
    ...tokens.map(({ name, lines }) =>
      [`  * ${name}`, ...lines.map(([label, text]) => `    ${label}: ${text}`)].join('\n'),
    ),
    ...(more === undefined ? [] : [`  ${more}`]),
    advice,
    `${link.label}: ${link.url}`,
    // The signature separator (RFC 3676 4.3).
    `-- \n${closing}`,
  ]
  return `${paragraphs.join('\n\n')}\n`
}

// Inline styles, because many mail programs remove style sheets and none loads external ones.
const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title><%= it.subject %></title>
</head>
<body style="margin: 0; padding: 24px 12px; background: #f3f4f6; color: #1f2328; font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif;">
<div style="max-width: 600px; margin: 0 auto; padding: 24px; background: #ffffff; border: 1px solid #d0d7de; border-radius: 8px;">
<p style="margin: 0 0 16px;"><%= it.greeting %></p>
<p style="margin: 0 0 16px;"><%= it.opening %></p>
<% for (const token of it.tokens) { %>
<div style="margin: 0 0 12px; padding: 10px 14px; border-left: 4px solid #57606a; background: #f6f8fa;">
<p style="margin: 0; font-weight: 600; overflow-wrap: anywhere;"><%= token.name %></p>
<% for (const [label, text] of token.lines) { %>
<p style="margin: 0; font-size: 14px; overflow-wrap: anywhere;"><span style="color: #57606a;"><%= label %>:</span> <%= text %></p>
<% } %>
</div>
<% } %>
<% if (it.more !== undefined) { %>
<p style="margin: 0 0 16px;"><%= it.more %></p>
<% } %>
<p style="margin: 16px 0;"><%= it.advice %></p>
<p style="margin: 0;"><a href="<%= it.link.url %>" style="color: #0550ae;"><%= it.link.label %></a></p>
</div>
<p style="max-width: 600px; margin: 16px auto 0; color: #57606a; font-size: 13px;"><%= it.closing %></p>
</body>
</html>
`
