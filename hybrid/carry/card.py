"""Draws the card that confirms a seed: one page, the same bytes for the same seed, to be read by a person at a box.

The digest stands in eight groups of eight, large. The square beside it holds the same 64 characters for whoever has a
reader that is no part of the medium; comparing by eye is what counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundles.enrolment import grouped
from hybrid.errors import HybridError, InputError

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

    from bundles.nouns import SiteRecord

MARGIN, SQUARE = 56, 120
"""Points."""
TYPED = "     "
STEPS = (
    "1. At the box, as root, copy the seed off the stick and stay in the copy:",
    f"{TYPED}cp -rL /media/seed /root/seed && cd /root/seed",
    f"{TYPED}sha256sum -c --strict --quiet SHA256SUMS && sha256sum SHA256SUMS",
    "2. Compare the 64 characters that it prints with the ones above. All of them.",
    "    Not the same, or any complaint: stop, and telephone. Nothing has run yet.",
    "3. The same, then:",
    f'{TYPED}sh INSTALL.sh --card "the 64 characters"{{demo}}',
    "4. Read the fingerprint out when headquarters telephones. You read, they compare.",
)
"""What the card says to do; what is indented by `TYPED` is typed as it stands."""


def lines_of(record: SiteRecord, digest: str) -> list[str]:
    """Return the card as text; `digest` is `sha256:` of the seed's SHA256SUMS."""
    demo = " --demo" if record.environment == "demo" else ""
    return [
        "CARD: carry it separately from the seed medium",
        f"site   {record.site} ({record.jurisdiction})   box {record.box_id}   {record.environment}",
        f"seed   {record.issued}",
        f"digest {grouped(digest.removeprefix('sha256:'))}",
        *(step.format(demo=demo) for step in STEPS),
    ]


def write_pdf(path: Path, record: SiteRecord, digest: str) -> None:
    """Write the card to `path` as one A4 page.

    Raises:
        HybridError: reportlab is not installed.
        InputError: `path` exists: a card is never written over another.
    """
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.pdfgen.canvas import Canvas
    except ImportError:
        advice = "pip install 'sovereign-hybrid[card]', or print the text"
        raise HybridError("a PDF needs reportlab, which is not installed", advice=advice) from None
    if path.exists():
        raise InputError(f"{path} exists", advice="choose another file, or remove it first")
    part = path.with_name(f".{path.name}.part")
    page = Canvas(str(part), pagesize=A4, invariant=1, pageCompression=0)
    page.setTitle(f"Card of {record.box_id}")
    width, top = A4[0], A4[1] - MARGIN
    _who(page, top, record)
    _digits(page, top - 176, width, grouped(digest.removeprefix("sha256:")).split())
    _steps(page, top - 346, " --demo" if record.environment == "demo" else "")
    _text(page, top - 546, 11, "Compared by  ______________________________     on  ____________________")
    page.save()
    part.rename(path)


def _who(page: Canvas, top: float, record: SiteRecord) -> None:
    _text(page, top, 24, "Card of a seed", bold=True)
    _text(page, top - 26, 11, "Carry it separately from the medium: who could change both could change everything.")
    facts = {"site": f"{record.site} ({record.jurisdiction})", "box": record.box_id, "for": record.environment,
             "seed of": record.issued}  # fmt: skip
    for row, (name, value) in enumerate(facts.items()):
        _text(page, top - 66 - 18 * row, 12, name)
        _text(page, top - 66 - 18 * row, 12, value, left=MARGIN + 64, bold=True)


def _digits(page: Canvas, top: float, width: float, groups: list[str]) -> None:
    from reportlab.graphics import renderPDF
    from reportlab.graphics.barcode.qr import QrCodeWidget
    from reportlab.graphics.shapes import Drawing

    for row in range(4):
        _text(page, top - 34 * row, 24, "   ".join(groups[2 * row : 2 * row + 2]), mono=True)
    drawing = Drawing(SQUARE, SQUARE)
    drawing.add(QrCodeWidget("".join(groups), barLevel="M", barWidth=SQUARE, barHeight=SQUARE))
    renderPDF.draw(drawing, page, width - MARGIN - SQUARE, top - 114)


def _steps(page: Canvas, top: float, demo: str) -> None:
    for row, step in enumerate(STEPS):
        typed, indent = step.startswith(TYPED), 14 if step.startswith(" ") else 0
        _text(page, top - 20 * row, 11, step.format(demo=demo).lstrip(), mono=typed, left=MARGIN + indent)


def _text(
    page: Canvas, height: float, size: int, text: str, *, left: float = MARGIN, bold: bool = False, mono: bool = False
) -> None:
    page.setFont(("Courier" if mono else "Helvetica") + ("-Bold" if bold or (mono and size > 20) else ""), size)
    page.drawString(left, height, text)
