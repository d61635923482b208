"""attnkit doctor: what is here, and how to get what is missing."""

import json

from attnkit import __version__
from tests.command import attnkit


def test_doctor():
    facts = json.loads(attnkit("doctor", "--json").stdout)
    assert facts["versions"]["attnkit"] == __version__
    assert facts["machine"]["cores"] >= 1
    assert set(facts["extras"]) == {"tensorboard", "ct2", "moses", "timm", "onnx", "plot", "peers"}


def test_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch):
    from attnkit.cli import doctor

    monkeypatch.setattr(doctor, "package_version", lambda name: None)
    result = attnkit("doctor")
    assert result.exit_code == 2
    assert result.stderr.startswith("missing: torch, torchvision,")
    assert result.stderr.endswith("; fix it by: pip install --upgrade attnkit\n")
    assert "not installed (export to CTranslate2): pip install 'attnkit[ct2]'" in result.stdout
