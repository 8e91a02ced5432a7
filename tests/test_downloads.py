"""Downloads by other libraries: the network is tried first, and briefly."""

import threading
from email.message import Message
from urllib.error import HTTPError, URLError

import huggingface_hub
import pytest

from offstride import create_model, open_model
from offstride.downloads import first_line, hub_or_cache, reachable


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, True),
        (HTTPError("https://x", 404, "not found", Message(), None), True),
        (URLError("no address"), False),
        (TimeoutError(), False),
    ],
)
def test_a_server_is_reachable_if_it_answers_at_all(monkeypatch, answer, expected):
    class Response:
        def close(self): ...

    def urlopen(request, timeout):
        assert (request.method, timeout) == ("HEAD", 2.0)
        if answer is not None:
            raise answer
        return Response()

    monkeypatch.setattr("offstride.downloads.urlopen", urlopen)
    assert reachable("https://x", 2.0) is expected


def test_a_look_up_that_hangs_is_not_waited_for(monkeypatch):
    done = threading.Event()

    def urlopen(*_, **__):
        done.wait(30)
        raise TimeoutError

    monkeypatch.setattr("offstride.downloads.urlopen", urlopen)
    assert not reachable("https://x", 0.1)
    assert not done.is_set()  # nobody has ended the look-up, which goes on
    done.set()


@pytest.mark.parametrize(("there", "before"), [(True, False), (False, False), (True, True), (False, True)])
def test_without_a_network_the_hub_is_its_cache(monkeypatch, there, before):
    asked = []
    monkeypatch.setattr("offstride.downloads.reachable", lambda url: asked.append(url) or there)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", before)
    seen = []

    def fail():
        with hub_or_cache():
            seen.append(huggingface_hub.constants.HF_HUB_OFFLINE)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert seen == [before or not there]
    assert huggingface_hub.constants.HF_HUB_OFFLINE is before
    assert asked == ([] if before else [huggingface_hub.constants.ENDPOINT])


def test_errors_are_quoted_by_their_first_line():
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"


def test_nothing_is_asked_or_waited_for_without_a_network(monkeypatch, tmp_path):
    """Neither an address is looked up nor a request repeated."""
    done = []

    def no_address(*_, **__):
        done.append("look-up")
        raise OSError("no address")

    monkeypatch.setattr("offstride.downloads.reachable", lambda url: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", no_address)
    monkeypatch.setattr("time.sleep", lambda seconds: done.append(f"{seconds} s"))
    with pytest.raises(ValueError, match=r"cannot be downloaded \(no network\?\); give a local safetensors file"):
        create_model(backbone="mobilenetv2_100", classes=3, pretrained=True)
    with pytest.raises(ValueError, match=r"cannot be downloaded \(no network\?\); give a local file or folder"):
        open_model("hub:nobody/nothing")
    assert done == []
