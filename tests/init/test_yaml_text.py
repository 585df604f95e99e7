"""A recipe as YAML with reasons: whatever stands in it is read back as it was."""

from ruamel.yaml import YAML

from crosstune.init.yaml_text import as_yaml

CONTENT = {
    "name": "no",
    "rate": 2e-5,
    "null": {"true": {"paths": ["구어체(1).xlsx", "a b.txt", "-", "2", "on", ".5", "{x}", "# y", "a: b", "1e3"]}},
    "list": [{"source": "a", "n": 1, "deep": {"x": [True, None, "null"]}}],
    "구어체": {"지시문": {"source": "1_구어체_1"}, "हिन्दी": "데이터/여자.txt"},
    "empty": {},
}


def test_content_is_read_back_as_it_was_written() -> None:
    text = as_yaml(CONTENT, {"null.true": "because: {it} is # so", "list": "x " * 200})
    assert YAML(typ="safe", pure=True).load(text) == CONTENT
    assert "# because: {it} is # so" in text
    assert all(len(line) <= 120 for line in text.splitlines() if line.lstrip().startswith("#"))
