"""Pages as a parser sees them that we did not write."""

import gzip
import json
from base64 import b64decode
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Tags, scripts, texts, cells of tables, images and data of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.texts, self.cells = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.scripts.append([tag, dict(attrs).get("type"), ""])

    def handle_data(self, data):
        if self.cdata_elem in ("script", "style"):  # from Python 3.14 on a title is such an element too
            self.scripts[-1][2] += data
        else:
            self.texts.append(data)
            if data.strip() and self.tags and self.tags[-1][0] in ("td", "th"):
                self.cells.append(data.strip())

    @property
    def images(self):
        return [attrs for tag, attrs in self.tags if tag == "img"]

    @property
    def packed(self):
        """The scripts and the data that the page inflates."""
        packed = next(source for _, kind, source in self.scripts if kind == "application/gzip")
        return json.loads(gzip.decompress(b64decode(packed)))

    @property
    def data(self):
        plain = next((source for _, kind, source in self.scripts if kind == "application/json"), None)
        return self.packed["data"] if plain is None else json.loads(plain)
