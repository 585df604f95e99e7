"""Draw the pictures of a run's report into docs/pictures: `python -m docs.draw_report runs/miniature`.

Needs Chromium, and a font with Hangul.
"""

import base64
import sys
import tempfile
from pathlib import Path

from tests.browser import Browser, browser

PICTURES = Path(__file__).parent / "pictures"
# File, width in pixels, color scheme, and what is done on the page first.
VIEWS = (
    ("report.png", 1280, "light", ""),
    ("report_phone.png", 390, "dark", ""),
    # A number of the bilingual system, which leads to its answers beside the base's.
    (
        "report_outputs.png",
        1280,
        "light",
        "document.querySelector('a.behind[data-task=translate_en_ko_ko][data-system=bilingual]').click()",
    ),
    ("report_training.png", 1280, "light", "document.querySelector('#training').scrollIntoView()"),
)


def main(run: Path, folder: Path) -> None:
    """Draw every view of a run's report."""
    folder.mkdir(exist_ok=True)
    page = (run / "report" / "report.html").resolve().as_uri()
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        for name, width, scheme, action in VIEWS:
            tab.open(page, width, scheme)
            tab.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
            if action:
                tab.evaluate(action)
            save(tab, folder / name)


def save(tab: Browser, file: Path) -> None:
    """Write what a tab shows as a picture."""
    file.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot", format="png")["data"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURES)
