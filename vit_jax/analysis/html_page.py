"""HTML pages in one file, which load nothing from elsewhere."""

import html

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 60rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
"""


def page(title: str, style: str, body: str) -> str:
  """A page with its title as a heading.

  Args:
    title: plain text.
    style: CSS rules besides those that all pages share.
    body: the HTML below the heading.
  """
  title = html.escape(title)
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<title>{title}</title><style>{_STYLE}{style}</style></head><body>"
    f"<h1>{title}</h1>{body}</body></html>\n"
  )
