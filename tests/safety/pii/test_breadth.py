"""The third tier, and that no tier talks to the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray.safety.pii import find, replace

OFFLINE = """
import socket, sys, tempfile, pathlib

def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")

class Refused(socket.socket):
    __init__ = refuse

socket.socket = Refused
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
import _socket
_socket.getaddrinfo = _socket.gethostbyname = refuse
for name in ("connect", "connect_ex", "sendto"):
    setattr(Refused, name, refuse)

import spacy
from pe_ray.safety.pii import find, phi, replace

path = pathlib.Path(tempfile.mkdtemp()) / "model"
nlp = spacy.blank("en")
nlp.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Xolani"}])
nlp.to_disk(path)
text = " ".join(note.text for note in phi.make(per_type=1))
text += " Write to jane@some.unheard-of.museum; Xolani is on 581-896-0013."
for tier in ("patterns", "presidio"):
    masked, counts = replace(text, b"k" * 16, tier=tier, ner=path)
    assert len(counts) > 12 and "museum" not in masked and "Xolani" not in masked
sys.exit(0)
"""


def test_no_tier_opens_a_socket() -> None:
    pytest.importorskip("presidio_analyzer")
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]


def test_presidio_adds_kinds_and_keeps_help_lines() -> None:
    pytest.importorskip("presidio_analyzer")
    coin = "send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa today"
    assert not find(coin)
    assert [coin[s.start : s.end] for s in find(coin, tier="presidio")] == ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"]
    help_line = "Call 988, 1-800-273-8255, 116 123 or 741741; in 2019 I was 47 and took 300 mg, 5-10 times, F32.1."
    assert find(help_line, tier="presidio") == []


def test_presidio_is_quiet_on_its_own_stand_ins() -> None:
    pytest.importorskip("presidio_analyzer")
    text = "I'm Sarah, 581-896-0013, 123-45-6789, 4111 1111 1111 1111, 84.12.3.4, 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
    once, _ = replace(text, b"k" * 16, tier="presidio")
    assert replace(once, b"k" * 16, tier="presidio") == (once, {})


def test_without_the_extra_there_is_one_line(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "sys.modules['presidio_analyzer'] = None\n"
        "from pe_ray.errors import UserError\n"
        "from pe_ray.safety.pii import find\n"
        "try:\n    find('call 581-896-0013', tier='presidio')\n"
        "except UserError as e:\n    print(e)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.count("\n") == 1
    assert "pe-ray[pii]" in said
    assert "581" not in said
