"""Which files are images, sound, video or documents: known by their first bytes, whatever they are called."""

from pathlib import Path

_STARTS = (
    (b"\x89PNG\r\n", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"BM", "an image (BMP)"),
    (b"II*\0", "an image (TIFF)"),
    (b"MM\0*", "an image (TIFF)"),
    (b"%PDF-", "a PDF: export its text first"),
    (b"ID3", "sound (MP3)"),
    (b"fLaC", "sound (FLAC)"),
    (b"OggS", "sound (Ogg)"),
    (b"\x1aE\xdf\xa3", "video (Matroska)"),
    (b"\xd0\xcf\x11\xe0", "an old Office document: save it as .xlsx or as text"),
)
# By what stands behind RIFF and a length, and behind a length and `ftyp`.
_RIFF = {b"WEBP": "an image (WebP)", b"WAVE": "sound (WAV)", b"AVI ": "video (AVI)"}
_IMAGE_BRANDS = (b"heic", b"heix", b"mif1", b"avif")


def media_of(path: Path) -> str:
    """Return what a file is where it is no data, in words; empty for text and for what a reader has to look at."""
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"RIFF"):
        return _RIFF.get(start[8:12], "")
    if start[4:8] == b"ftyp":
        return "an image (HEIC or AVIF)" if start[8:12] in _IMAGE_BRANDS else "video or sound (MP4)"
    found = next((kind for begin, kind in _STARTS if start.startswith(begin)), "")
    # Two letters begin many a text; a picture has bytes that no text has.
    return "" if found.endswith("(BMP)") and b"\0" not in start else found
